"""The GPUs of a machine: which attempt has which, and the variables that tell its command so."""

import asyncio
import fcntl
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from helios.errors import RequestError, WorkerUnavailableError

GIVEN = ("ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables by which a cluster gives this process some of a machine's GPUs. The first that is set counts: where
ROCR_VISIBLE_DEVICES is set, the others count within it."""
OWN = "HELIOS_GPUS"
"""The variable by which a command, and who reports of it, knows its GPUs, whoever made them."""
LOOK_SECONDS = 0.2
"""How often a chunk that waits looks whether another process has given a GPU back."""


def gpus_in(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs of a command with these variables."""
    return tuple(name for name in variables.get(OWN, "").split(",") if name)


def gpu_names(
    count: int | None, *, environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")
) -> tuple[str, ...]:
    """The names of a machine's GPUs, as `GIVEN` has them: `0`, `1` and on.

    Args:
        count: How many there are; those that the environment names, else NVIDIA's devices, when None.
        environment: May name them already, where a cluster has given this process some of a machine's.
        devices: The folder of device files.

    Raises:
        RequestError: The environment names fewer, or one twice.
    """
    variable = next((name for name in GIVEN if environment.get(name)), None)
    if variable is not None:
        named = environment[variable]
        found = tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1"))
        if twice := named_twice(found):
            raise RequestError(f"{variable} names the GPU {twice} twice ({named}); name each once")
        if count is not None and count > len(found):
            raise RequestError(
                f"{count} GPUs are not there: {variable} names {len(found)} ({named}); correct the number of GPUs, "
                "or unset it"
            )
        return found if count is None else found[:count]
    if count is None:
        count = sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in devices.glob("nvidia*"))
    return tuple(str(number) for number in range(count))


def named_twice(names: Iterable[str]) -> str | None:
    """The first name that occurs more than once; None if there is none."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def gpu_variables(names: tuple[str, ...]) -> dict[str, str]:
    """Variables that tell a command its GPUs; none where it has none.

    HIP and OpenCL number the devices that ROCR_VISIBLE_DEVICES leaves, from 0: the machine's own numbers would name
    devices that are hidden already. HIP reads CUDA_VISIBLE_DEVICES only where HIP_VISIBLE_DEVICES is not set. See
    https://rocm.docs.amd.com/en/latest/conceptual/gpu-isolation.html. Vulkan has no such variable: HELIOS_GPUS is for
    the command lines of programs that use it.
    """
    if not names:
        return {}
    own, within = ",".join(names), ",".join(str(number) for number in range(len(names)))
    variables = {
        OWN: own,
        "CUDA_VISIBLE_DEVICES": own,
        "ROCR_VISIBLE_DEVICES": own,
        "HIP_VISIBLE_DEVICES": within,
        "GPU_DEVICE_ORDINAL": within,
    }
    if all(name.isdecimal() for name in names):  # Level Zero takes no UUIDs
        variables["ZE_AFFINITY_MASK"] = own
    return variables


_Place = tuple[str, int]
"""A GPU's name, and which of the chunks that it takes at a time, from 0."""


class GpuPool:
    """The GPUs of a machine, and who has them now.

    Args:
        names: All of them.
        chunks_per_gpu: How many chunks may have one at the same time.
        locks: A folder in which GPUs are locked against other processes that use this folder; a lock goes with its
            process, however that ends. None where this process alone hands them out.
    """

    def __init__(self, names: tuple[str, ...], *, chunks_per_gpu: int = 1, locks: Path | None = None) -> None:
        self.names = names
        """All of them."""
        self.chunks_per_gpu = chunks_per_gpu
        """How many chunks may have one at the same time."""
        self._locks = locks
        self._held: dict[_Place, int | None] = {}
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def places(self) -> int:
        """How many chunks of one GPU each are rendered at a time."""
        return len(self.names) * self.chunks_per_gpu

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[tuple[str, ...]]:
        """Have so many GPUs within the block, the least used ones; wait while others have them.

        Raises:
            RequestError: There are fewer.
        """
        if count > len(self.names):
            raise RequestError(f"The chunk requires {count} GPUs, and the machine has {len(self.names)}")
        if not count:
            yield ()
            return
        async with self._turn:  # else a chunk of several GPUs would wait until no chunk of one is left
            while not (own := self._take(count)):
                self._freed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), LOOK_SECONDS if self._locks else None)
        try:
            yield tuple(name for name in self.names if any(name == place[0] for place in own))
        finally:
            self._give_back(own)

    def _take(self, count: int) -> list[_Place]:
        """Places on so many GPUs; none where that many are not free."""
        own: dict[str, _Place] = {}
        used = Counter(name for name, _ in self._held)
        try:
            for number in range(self.chunks_per_gpu):
                for name in sorted(self.names, key=lambda name: used[name]):
                    if len(own) < count and name not in own and self._hold((name, number)):
                        own[name] = (name, number)
        finally:
            if len(own) < count:
                self._give_back(own.values())
        return list(own.values()) if len(own) == count else []

    def _hold(self, place: _Place) -> bool:
        if place in self._held:
            return False
        if self._locks is None:
            self._held[place] = None
            return True
        lock = _lock(self._locks / f"{quote(place[0], safe='')}-{place[1]}")
        if lock is not None:
            self._held[place] = lock
        return lock is not None

    def _give_back(self, places: Iterable[_Place]) -> None:
        for place in places:
            if (lock := self._held.pop(place)) is not None:
                os.close(lock)
        self._freed.set()


def _lock(path: Path) -> int | None:
    """Lock a file, which is made if it is missing; None where another process has it locked."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise WorkerUnavailableError(
            f"The GPU's lock {path} can't be made: {exc.strerror}; make room, or mend its permissions"
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock
