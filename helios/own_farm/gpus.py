"""The GPUs of a node: which chunk has which."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from helios.errors import RequestError

VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables by which programs are told their GPUs: of NVIDIA's and AMD's libraries."""


def gpu_names(
    count: int | None, *, environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")
) -> tuple[str, ...]:
    """The names of a machine's GPUs, as the variables of `VISIBLE` have them: `0`, `1` and on.

    Args:
        count: How many there are; those that the environment names, else NVIDIA's devices, when None.
        environment: May name them already, where a cluster has given this process some of a machine's.
        devices: The folder of device files.

    Raises:
        RequestError: The environment names fewer.
    """
    named = next((environment[name] for name in VISIBLE if environment.get(name)), None)
    if named is not None:
        found = tuple(name for name in named.split(",") if name.strip() not in ("", "-1"))
        if count is not None and count > len(found):
            raise RequestError(
                f"{count} GPUs are not there: {VISIBLE[0]} names {len(found)} ({named}); correct --gpus, or unset it"
            )
        return found if count is None else found[:count]
    if count is None:
        count = sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in devices.glob("nvidia*"))
    return tuple(str(number) for number in range(count))


class GpuPool:
    """The GPUs that no chunk has now.

    Args:
        names: All of the node's.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        """All of the node's."""
        self._free = list(names)
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, count: int) -> AsyncIterator[dict[str, str]]:
        """Have GPUs within the block, as variables for the command; wait while other flows' chunks have them.

        Raises:
            RequestError: The node has fewer.
        """
        if not count:
            yield {}
            return
        if count > len(self.names):
            raise RequestError(f"The chunk requires {count} GPUs, and the node has {len(self.names)}")
        async with self._freed:
            await self._freed.wait_for(lambda: len(self._free) >= count)
            own, self._free = self._free[:count], self._free[count:]
        try:
            yield dict.fromkeys(VISIBLE, ",".join(own))
        finally:
            self._free += own
            async with self._freed:
                self._freed.notify_all()
