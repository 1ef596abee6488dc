"""The GPUs of a machine: their names, their variables, and who has them."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helios.errors import RequestError, WorkerUnavailableError
from helios.gpus import GpuPool, gpu_names, gpu_variables

HOLDER = """
import asyncio, sys
from pathlib import Path
from helios.gpus import GpuPool

async def main():
    async with GpuPool(("0", "1"), locks=Path(sys.argv[1])).taken(2) as gpus:
        print(*gpus, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_gpus_are_found_where_they_are_named(tmp_path: Path) -> None:
    """The environment's come first, as where a cluster gave this process two of eight."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpu_names(None, environment={}, devices=tmp_path) == ("0", "1")
    assert gpu_names(3, environment={}, devices=tmp_path) == ("0", "1", "2")
    assert gpu_names(None, environment={"CUDA_VISIBLE_DEVICES": "4, 6"}, devices=tmp_path) == ("4", "6")
    assert gpu_names(1, environment={"CUDA_VISIBLE_DEVICES": "4,6"}, devices=tmp_path) == ("4",)
    assert gpu_names(None, environment={"CUDA_VISIBLE_DEVICES": "-1"}, devices=tmp_path) == ()
    within = {"ROCR_VISIBLE_DEVICES": "4,6", "HIP_VISIBLE_DEVICES": "0,1"}
    assert gpu_names(None, environment=within, devices=tmp_path) == ("4", "6")


@pytest.mark.parametrize(("count", "named", "error"), [
    (3, "4,6", "3 GPUs are not there: CUDA_VISIBLE_DEVICES names 2"),
    (None, "4,6,4", "CUDA_VISIBLE_DEVICES names the GPU 4 twice"),
])  # fmt: skip
def test_an_environment_without_these_gpus_is_refused(count: int | None, named: str, error: str) -> None:
    """Fewer GPUs than were asked for, and one that is named twice, are refused."""
    with pytest.raises(RequestError, match=error):
        gpu_names(count, environment={"CUDA_VISIBLE_DEVICES": named})


def test_hip_counts_within_the_devices_that_rocm_leaves() -> None:
    """HIP and OpenCL are given numbers from 0 on, Level Zero numbers alone, the others the names."""
    assert gpu_variables(("4", "6")) == {
        "HELIOS_GPUS": "4,6", "CUDA_VISIBLE_DEVICES": "4,6", "ROCR_VISIBLE_DEVICES": "4,6", "ZE_AFFINITY_MASK": "4,6",
        "HIP_VISIBLE_DEVICES": "0,1", "GPU_DEVICE_ORDINAL": "0,1",
    }  # fmt: skip
    assert "ZE_AFFINITY_MASK" not in gpu_variables(("GPU-8f9c", "6"))
    assert gpu_variables(()) == {}


@pytest.mark.parametrize("is_locked", [False, True])
async def test_who_asks_first_is_served_first(tmp_path: Path, is_locked: bool) -> None:
    """A chunk of two GPUs is not passed over by later chunks of one; a GPU is given back whatever its chunk's end."""
    pool = GpuPool(("4", "6"), locks=tmp_path / "gpus" if is_locked else None)
    order: list[tuple[str, ...]] = []

    async def have(count: int) -> None:
        async with pool.taken(count) as gpus:
            order.append(gpus)
            await asyncio.sleep(0)
            raise ZeroDivisionError

    async with pool.taken(1) as first:
        assert first == ("4",)
        later = [asyncio.create_task(have(count)) for count in (2, 1)]
        await asyncio.sleep(0.01)
        assert order == []
    await asyncio.gather(*later, return_exceptions=True)
    assert order == [("4", "6"), ("4",)]


async def test_so_many_chunks_at_a_time_on_each_gpu() -> None:
    """Chunks go to the least used GPU, and none has the same GPU twice."""
    pool = GpuPool(("0", "1"), chunks_per_gpu=2)
    assert pool.places == 4
    async with pool.taken(1) as first, pool.taken(1) as second:
        assert (first, second) == (("0",), ("1",))
        async with pool.taken(2) as both:
            assert both == ("0", "1")
            waiting = asyncio.create_task(pool.taken(1).__aenter__())
            await asyncio.sleep(0.01)
            assert not waiting.done()
        assert await waiting in (("0",), ("1",))


async def test_more_gpus_than_there_are() -> None:
    """A chunk that can never have its GPUs is refused, and does not wait."""
    with pytest.raises(RequestError, match="requires 3 GPUs, and the machine has 2"):
        async with GpuPool(("4", "6")).taken(3):
            pass


async def test_the_gpus_of_a_killed_process_are_free(tmp_path: Path) -> None:
    """Another process's GPUs are not taken while it lives; they are as soon as it was killed."""
    locks = tmp_path / "gpus"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(locks)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "0 1\n"
        assert sorted(os.listdir(locks)) == ["0-0", "1-0"]
        waiting = asyncio.create_task(GpuPool(("0", "1"), locks=locks).taken(1).__aenter__())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        holder.send_signal(signal.SIGKILL)
        assert await asyncio.wait_for(waiting, 60) == ("0",)
    finally:
        holder.kill()
        holder.communicate()


async def test_locks_that_can_t_be_made(tmp_path: Path) -> None:
    """A folder of locks that is a file is the environment's failure, and leaves no GPU taken."""
    (tmp_path / "gpus").touch()
    pool = GpuPool(("0",), locks=tmp_path / "gpus")
    with pytest.raises(WorkerUnavailableError, match="lock .* can't be made: .*; make room"):
        async with pool.taken(1):
            pass
    (tmp_path / "gpus").unlink()
    async with pool.taken(1) as gpus:
        assert gpus == ("0",)
