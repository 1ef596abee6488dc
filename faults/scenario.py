"""What happens to one job, drawn from a seed: the same seed, the same job and the same faults."""

import random
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A fault that strikes a job."""

    KILL_FLOW = "SIGKILL of the flow's process"
    KILL_STITCH = "SIGKILL in the middle of the stitch"
    KILL_WORKER = "SIGKILL of the Prefect worker"
    KILL_GUARDIAN = "SIGKILL of the guardian"
    KILL_BOTH = "SIGKILL of guardian and flow at once"
    KILL_CHUNK = "SIGKILL of a chunk's process"
    STOP_FLOW = "SIGSTOP of the flow for a while"
    STOP_GUARDIAN = "SIGSTOP of the guardian for a while"
    STOP_CHUNK = "SIGSTOP of a chunk for a while"
    FAIL = "a chunk fails, then works"
    LIE = "a chunk exits 0 with too few frames"
    SLOW = "a chunk hangs, and gets a second attempt"
    TWICE = "a chunk goes on beside its second attempt"
    EVENT_TWICE = "Lambda delivers an event twice"
    ANSWER_LOST = "Lambda's answer is lost"
    KILL_INSTANCE = "SIGKILL of a Lambda instance"
    DISK_FULL = "the disk is full for a while"
    OUTPUT = "an output is deleted, cut or replaced"
    RECORD = "a record is deleted, cut or replaced"
    SERVER = "Prefect's server is killed and started"
    SERVER_STOP = "Prefect's server hangs for a while"
    CLOCK = "the clock jumps"
    CANCEL = "a cancel by the API"
    SIGTERM = "SIGTERM to the flow's process"
    KILL_NODE = "SIGKILL of a farm's node"
    KILL_NODE_GUARDIAN = "SIGKILL of a node's guardian"
    KILL_MACHINE = "SIGKILL of everything on a node's machine"
    DRAIN_NODE = "SIGTERM to a node: it finishes its chunks"
    KILL_SCHEDULER = "the farm's scheduler is killed and started"
    FREEZE_NODE = "SIGSTOP of a whole node for 5 to 60 s"
    CUT_NODE = "a node's network is cut for 5 to 60 s"
    FILL_NODE = "a node's disk is full for a while"
    JOIN_NODE = "a node joins in the middle, and leaves again"
    JOIN_OLD_NODE = "a node of another version joins"


ON_LAMBDA = (Fault.EVENT_TWICE, Fault.ANSWER_LOST, Fault.KILL_INSTANCE, Fault.KILL_FLOW, Fault.OUTPUT, Fault.RECORD)
"""Faults of jobs on Lambda."""
OF_A_FARM = (Fault.KILL_NODE, Fault.KILL_NODE_GUARDIAN, Fault.KILL_MACHINE, Fault.DRAIN_NODE, Fault.KILL_SCHEDULER,
             Fault.FREEZE_NODE, Fault.CUT_NODE, Fault.FILL_NODE, Fault.JOIN_NODE, Fault.JOIN_OLD_NODE)  # fmt: skip
"""Faults of jobs on an own farm alone."""
ON_A_FARM = (*OF_A_FARM, Fault.KILL_FLOW, Fault.KILL_STITCH, Fault.KILL_WORKER, Fault.KILL_CHUNK, Fault.STOP_FLOW,
             Fault.STOP_CHUNK, Fault.FAIL, Fault.LIE, Fault.SLOW, Fault.OUTPUT, Fault.RECORD, Fault.SERVER,
             Fault.SERVER_STOP, Fault.CLOCK, Fault.CANCEL, Fault.SIGTERM)  # fmt: skip
"""Faults of jobs on an own farm."""
OF_A_PROCESS = frozenset({Fault.KILL_CHUNK, Fault.STOP_CHUNK, Fault.KILL_INSTANCE, *OF_A_FARM})
"""Faults that need to meet a chunk's process while it runs."""
WEIGHTS = {Fault.SERVER: 0.15, Fault.SERVER_STOP: 0.4, Fault.KILL_WORKER: 0.15, Fault.KILL_FLOW: 2.0}
CANCELS = frozenset({Fault.CANCEL, Fault.SIGTERM})
"""Faults that end commands in order; on a farm they are to meet commands that run."""
JOINS = frozenset({Fault.JOIN_NODE, Fault.JOIN_OLD_NODE})
"""Faults that begin with the start of a process, which takes seconds."""
"""Weights with which a fault is drawn, by default 1: faults that take long are rarer."""
LAMBDA_SHARE = 0.08
SIZES = ((64, 64), (80, 48), (96, 72))
RATES = ("30", "24", "25", "60", "12.5", "30000/1001", "24000/1001")
LENGTHS = (2, 3, 5)
GROWS_EACH, MOST_GROWING_FRAMES = 4, 60
"""One job of so many is cut while it is rendered, if it has no more frames, and no chunk a command of its own."""
IN_THE_COMMAND = (Fault.FAIL, Fault.LIE, Fault.SLOW)
"""Faults that the chunk's command causes itself."""


@dataclass(frozen=True)
class Strike:
    """One fault at one moment."""

    fault: Fault
    after: float
    """Share of the job's chunks that have begun, from 0 to 1."""
    delay_seconds: float
    """Time from that moment to the strike."""
    chunk: int
    """The chunk to strike, for faults of one chunk."""
    how: int
    """The variant, for faults with several variants."""


@dataclass(frozen=True)
class Scenario:
    """One job of the bench."""

    seed: int
    lengths: tuple[int, ...]
    """Frames of each chunk."""
    start: int
    """The first frame."""
    size: tuple[int, int]
    fps: str
    seconds: float
    """How long each chunk takes."""
    concurrency: int
    on_lambda: bool
    on_farm: bool
    """Whether the job runs on an own farm."""
    has_id: bool
    resumed_by_command: bool
    """Whether a resume starts `helios-job resume` instead of a forked process."""
    again: str
    """The command-line options that draw it again."""
    strikes: tuple[Strike, ...]
    """One fault for each launch of the job; later launches have none."""

    @property
    def grows(self) -> bool:
        """Whether the job is cut while it is rendered. What tells a chunk is its number then, not its first frame."""
        has_ways = any(strike.fault in (*IN_THE_COMMAND, Fault.TWICE) for strike in self.strikes)
        return self.seed % GROWS_EACH == 2 and not has_ways and sum(self.lengths) <= MOST_GROWING_FRAMES


def draw(
    seed: int, *, only: Fault | None = None, possible: frozenset[Fault] = frozenset(Fault), chunks: int | None = None,
    on_farm: bool = False,
) -> Scenario:  # fmt: skip
    """Draw the job of a seed.

    Args:
        seed: The seed.
        only: Plan this fault, once, instead of drawn faults.
        possible: Faults that can be done on this machine.
        chunks: Number of chunks, instead of a drawn number.
        on_farm: Run the job on an own farm.
    """
    dice = random.Random(seed)  # noqa: S311  not for secrets
    on_lambda = dice.random() < LAMBDA_SHARE if only is None else only in ON_LAMBDA[:3]
    on_lambda = on_lambda and not on_farm
    drawn = dice.randint(5, 14) if on_lambda else round(dice.triangular(5, 60, 8))
    count = chunks or drawn
    length = dice.choice(LENGTHS)
    lengths = (length,) * (count - 1) + (dice.randint(1, length),)
    among = ON_LAMBDA if on_lambda else tuple(fault for fault in Fault if fault not in (*ON_LAMBDA[:3], *OF_A_FARM))
    among = ON_A_FARM if on_farm else among
    weights = [WEIGHTS.get(fault, 1.0) for fault in among]
    faults = dice.choices(among, weights, k=dice.choice((1, 1, 2)))
    if only is not None:
        faults = [only]
    strikes = tuple(
        Strike(fault, dice.uniform(0, 0.9), dice.uniform(0, 0.2), dice.randrange(count), dice.randrange(3))
        for fault in faults
    )
    scenario = Scenario(
        seed=seed,
        lengths=lengths,
        start=dice.choice((0, 0, 60)),
        size=dice.choice(SIZES),
        fps=dice.choice(RATES),
        seconds=_seconds(frozenset(faults), dice, on_farm=on_farm),
        concurrency=max(dice.randint(1, 4), 2 if Fault.SLOW in faults else 1),
        on_lambda=on_lambda,
        on_farm=on_farm,
        has_id=dice.random() < 0.5,
        resumed_by_command=dice.random() < 0.04,
        again=f"--seed {seed}"
        + (" --adapter farm" if on_farm else "")
        + (f" --only {only.name}" if only else "")
        + (f" --chunks {chunks}" if chunks else ""),
        strikes=strikes,
    )
    kept = tuple(strike for strike in strikes if strike.fault in possible)
    return Scenario(**{**vars(scenario), "strikes": kept})


def _seconds(faults: frozenset[Fault], dice: random.Random, *, on_farm: bool) -> float:
    """How long each chunk takes."""
    if faults & JOINS or (on_farm and faults & CANCELS):
        return 0.6
    return 0.2 if faults & OF_A_PROCESS else dice.choice((0.02, 0.05, 0.1))
