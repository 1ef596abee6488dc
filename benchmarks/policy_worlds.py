"""Worlds for the policy: how long chunks take, and on which workers."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from benchmarks.virtual_time import Draw, Fate
from tasks.schedule.expectation import Timing

JITTER = 0.2
"""Coefficient of variation of the time of equal chunks."""
SLOWER = 10.0
"""A straggler takes so many times as long."""
HOST_SLOTS = 4
"""Slots of a machine."""


@dataclass(frozen=True)
class World:
    """One drawn job and its workers."""

    name: str
    """For people."""
    seconds: Sequence[float]
    """How long each chunk takes on a worker that is not slow."""
    draw: Draw
    """What becomes of attempts."""
    work: float
    """Seconds of all chunks, each tried once."""
    earlier: dict[int, Timing] = field(default_factory=dict)
    """What an earlier run, whose attempts had other jitter, tells of them."""

    @property
    def longest(self) -> float:
        """Seconds of the longest chunk on a worker that is not slow."""
        return max(self.seconds)


Maker = Callable[[int, int, int], World]
"""A world by its number of chunks and of slots, and a seed."""


def jitter_of(key: str) -> float:
    """Lognormal, with the mean 1 and the coefficient of variation `JITTER`."""
    sigma = math.sqrt(math.log(1 + JITTER**2))
    return math.exp(NormalDist(-(sigma**2) / 2, sigma).inv_cdf(_chance(key)))


def _chance(key: str) -> float:
    """A number above 0 and below 1, the same for the same key: no draw depends on the order of the others."""
    return (int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) + 0.5) / 2**48


def _world(
    name: str, base: Sequence[float], seed: int, slowdown: Callable[[int, int, int], float] = lambda *_: 1.0,
    dies: float = 0.0, once: Callable[[int, int], float] = lambda *_: 0.0, more: float = 1.0,
) -> World:  # fmt: skip
    """A world; its work is `more` times that of its chunks where workers differ."""

    def fate(chunk: int, number: int, slot: int) -> Fate:
        key = f"{seed} {chunk} {number}"
        seconds = base[chunk] * jitter_of(key) * slowdown(chunk, number, slot) + once(chunk, slot)
        if dies and _chance(f"{key} dies") < dies:
            return Fate(seconds * _chance(f"{key} when"), is_whole=False)
        return Fate(seconds)

    own = [one * jitter_of(f"{seed} {chunk} 1") for chunk, one in enumerate(base)]
    work = more * sum(one * slowdown(chunk, 1, 0) for chunk, one in enumerate(own))
    earlier = {chunk: Timing(30, one * jitter_of(f"{seed} {chunk} before")) for chunk, one in enumerate(base)}
    return World(name, own, fate, work, earlier)


def jitter(chunks: int, _slots: int, seed: int) -> World:
    """Equal chunks of ordinary jitter."""
    return _world("jitter 0.2", [1.0] * chunks, seed)


def stragglers(chunks: int, _slots: int, seed: int) -> World:
    """One attempt in twenty takes ten times as long, whichever chunk it is of."""

    def slowdown(chunk: int, number: int, _slot: int) -> float:
        return SLOWER if _chance(f"{seed} {chunk} {number} slow") < 0.05 else 1.0

    return _world("5 % tenfold", [1.0] * chunks, seed, slowdown)


def pareto(chunks: int, _slots: int, seed: int) -> World:
    """Chunks whose own cost is heavy-tailed (Pareto, shape 1.5): a second attempt takes as long."""
    base = [min((1 - _chance(f"{seed} {chunk} pareto")) ** (-1 / 1.5), 200.0) for chunk in range(chunks)]
    return _world("Pareto 1.5", base, seed)


def slow_hosts(chunks: int, slots: int, seed: int) -> World:
    """One machine in eight, at least one, takes four times as long for everything."""
    hosts = max(1, slots // HOST_SLOTS)
    slow = set(range(max(1, hosts // 8))) if hosts > 1 else set()
    slots_of_slow = len(slow) * HOST_SLOTS

    def slowdown(_chunk: int, _number: int, slot: int) -> float:
        return 4.0 if slot // HOST_SLOTS % hosts in slow else 1.0

    # Slot 0, by which the work is counted, is a slow one where there are any: so is what all of them do together.
    share = (slots - slots_of_slow + slots_of_slow / 4) / slots
    return _world("slow hosts", [1.0] * chunks, seed, slowdown, more=1 / share / (4.0 if slow else 1.0))


def dying(chunks: int, _slots: int, seed: int) -> World:
    """One attempt in fifty dies with its worker, somewhere on its way; the next one begins after the usual pause."""
    return _world("dying workers", [1.0] * chunks, seed, dies=0.02)


def cold_starts(chunks: int, slots: int, seed: int) -> World:
    """The first chunk of every slot waits for its worker to start, as long as two to four chunks take."""
    seen: set[int] = set()

    def once(_chunk: int, slot: int) -> float:
        if slot in seen:
            return 0.0
        seen.add(slot)
        return 2.0 + 2.0 * _chance(f"{seed} {slot} cold")

    return _world("cold starts", [1.0] * chunks, seed, once=once)


def growing(chunks: int, _slots: int, seed: int) -> World:
    """Frames that get twenty times dearer from the first to the last."""
    return _world("growing ×20", [1.0 + 19.0 * chunk / max(chunks - 1, 1) for chunk in range(chunks)], seed)


WORLDS: tuple[Maker, ...] = (jitter, stragglers, pareto, slow_hosts, dying, cold_starts, growing)


def recorded(name: str, seconds: Sequence[float]) -> Maker:
    """Chunks whose times were measured, repeated up to the wanted number."""

    def make(chunks: int, _slots: int, seed: int) -> World:
        base = [seconds[chunk % len(seconds)] for chunk in range(chunks)]
        fates = {chunk: Fate(one) for chunk, one in enumerate(base)}
        times = {chunk: Timing(30, one * jitter_of(f"{seed} {chunk} before")) for chunk, one in enumerate(base)}
        return World(name, base, lambda chunk, _number, _slot: fates[chunk], sum(base), times)

    return make
