"""GPUs of a farm's nodes, as commands see them; the nodes are told names, and the machine needs no GPU."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from helios.errors import CommandTimeoutError
from helios.models.requires import Requires
from helios.models.worker import WorkerResult
from testbed.cloud.own_farm import OwnFarm, own_farm
from tests.helios.worker.stored import store_script

PRINT = "import json, os, sys; print(json.dumps(dict(os.environ))); sys.exit(3)"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    """A node to which a cluster has given two of a machine's GPUs."""
    with own_farm(tmp_path_factory.mktemp("farm"), nodes=0) as farm:
        farm.start_node("studio", slots=4, chunks_per_gpu=2, variables={"CUDA_VISIBLE_DEVICES": "4,6"})
        yield farm


async def run(
    farm: OwnFarm, gpus: int, *, script: str = PRINT, timeout_seconds: float | None = None
) -> tuple[WorkerResult, dict[str, str]]:
    """How a command ends whose chunk requires so many GPUs, and its variables."""
    adapter = FarmAdapter(FarmConfig.model_validate(farm.config))
    await adapter.open()
    try:
        job = store_script(adapter.storage, script)
        wanted = {"requires": Requires(gpus=gpus), "timeout_seconds": timeout_seconds or job.timeout_seconds}
        ended = await adapter.execute(job.model_copy(update=wanted))
    finally:
        await adapter.aclose()
    return ended, json.loads(ended.stdout)


async def test_a_chunk_has_the_gpus_that_it_requires(farm: OwnFarm) -> None:
    """Commands find their GPUs in every vendor's variable, the flow learns which, and a failed one gives them back."""
    for _ in range(2):
        ended, seen = await run(farm, 2)
        assert (ended.exit_code, ended.gpus) == (3, ("4", "6"))
        assert (seen["CUDA_VISIBLE_DEVICES"], seen["ROCR_VISIBLE_DEVICES"]) == ("4,6", "4,6")
        assert (seen["HIP_VISIBLE_DEVICES"], seen["HELIOS_GPUS"]) == ("0,1", "4,6")
    ended, seen = await run(farm, 1)
    assert (ended.gpus, seen["CUDA_VISIBLE_DEVICES"], seen["HIP_VISIBLE_DEVICES"]) == (("4",), "4", "0")
    ended, seen = await run(farm, 0)
    assert (ended.gpus, "HELIOS_GPUS" in seen) == ((), False)


async def test_chunks_share_a_gpu(farm: OwnFarm, tmp_path: Path) -> None:
    """As many chunks as the node's owner says share a GPU, at the same time."""
    meet = (
        f"import os, pathlib, sys, time; here = pathlib.Path({str(tmp_path)!r}); (here / str(os.getpid())).touch()\n"
        "while len(list(here.iterdir())) < 4: time.sleep(0.05)\n"
        f"{PRINT}"
    )
    found = await asyncio.gather(*(run(farm, 1, script=meet) for _ in range(4)))
    assert sorted(ended.gpus for ended, _ in found) == [("4",), ("4",), ("6",), ("6",)]


async def test_the_gpus_of_a_chunk_that_runs_out_of_time(farm: OwnFarm) -> None:
    """The error of an attempt that ran too long names its GPUs."""
    with pytest.raises(CommandTimeoutError) as raised:
        await run(farm, 1, script="import time; time.sleep(60)", timeout_seconds=1)
    assert raised.value.gpus in (("4",), ("6",))
    assert "studio" in (raised.value.rendered_by or "")
