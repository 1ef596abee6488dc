"""GPUs of the local adapter, as real commands see them; the machine needs none."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import pytest

from adapters import create_adapter
from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.errors import CommandTimeoutError, RequestError, SpecError
from helios.models.requires import Requires
from helios.models.worker import WorkerJob, WorkerResult

PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(autouse=True)
def _own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The locks of GPUs are the test's own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def local(**settings: object) -> LocalAdapter:
    return LocalAdapter(LocalAdapterConfig.model_validate(settings))


def shell(script: str, *, gpus: int = 0, **fields: object) -> WorkerJob:
    required = Requires(gpus=gpus) if gpus else None
    return WorkerJob.model_validate({"command": "sh", "args": ("-c", script), "requires": required, **fields})


async def seen(adapter: LocalAdapter, *, gpus: int = 0) -> dict[str, str]:
    """The variables that a command gets whose chunk requires so many GPUs."""
    job = WorkerJob(command=sys.executable, args=("-c", PRINT), requires=Requires(gpus=gpus))
    variables: dict[str, str] = json.loads((await adapter.execute(job)).stdout)
    return variables


async def test_a_command_sees_its_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this process was given, a command has one GPU, or as many as its chunk requires."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("GPU_DEVICE_ORDINAL", "7")
    adapter = local(gpus=["4", 6])
    one = await seen(adapter)
    assert (one["CUDA_VISIBLE_DEVICES"], one["ROCR_VISIBLE_DEVICES"], one["HIP_VISIBLE_DEVICES"]) == ("4", "4", "0")
    assert (one["HELIOS_GPUS"], one["GPU_DEVICE_ORDINAL"]) == ("4", "0")
    two = await seen(adapter, gpus=2)
    assert (two["CUDA_VISIBLE_DEVICES"], two["HIP_VISIBLE_DEVICES"]) == ("4,6", "0,1")
    assert (await seen(local()))["CUDA_VISIBLE_DEVICES"] == "7"


async def test_a_number_of_gpus_takes_the_first_of_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a cluster has given this process GPUs, a number means the first of these."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert (await seen(local(gpus=1)))["CUDA_VISIBLE_DEVICES"] == "3"
    with pytest.raises(RequestError, match="3 GPUs are not there: CUDA_VISIBLE_DEVICES names 2"):
        local(gpus=3)


@pytest.mark.parametrize("share", [1, 2])
async def test_so_many_at_a_time_on_each(tmp_path: Path, share: int) -> None:
    """Each GPU has as many commands at a time as it may have, and never more, over two adapters."""
    adapters = [local(gpus=["0", "1"], chunks_per_gpu=share) for _ in range(2)]
    # Each command counts those that run on its GPU, itself included, after it has made its own mark.
    script = f"d={tmp_path}/$HELIOS_GPUS; mkdir -p $d; touch $d/$$; ls $d | wc -l; sleep 0.2; rm $d/$$"
    ended = await asyncio.gather(*(adapters[number % 2].execute(shell(script)) for number in range(12)))
    assert {one.gpus for one in ended} == {("0",), ("1",)}
    assert max(int(one.stdout) for one in ended) == share
    assert max(one.timings.wait_ms for one in ended if one.timings) > 0


async def test_two_gpus_are_had_alone(tmp_path: Path) -> None:
    """While a chunk of two GPUs renders, no other chunk does, on a machine of two."""
    adapter = local(gpus=["0", "1"])
    script = f"touch {tmp_path}/mark-$$; ls {tmp_path} | grep -c mark; sleep 0.1; rm {tmp_path}/mark-$$"
    pair = [adapter.execute(shell(script, gpus=2)) for _ in range(3)]
    ended = await asyncio.gather(*pair, *(adapter.execute(shell(script)) for _ in range(3)))
    assert [one.gpus for one in ended[:3]] == [("0", "1")] * 3
    assert [one.stdout for one in ended[:3]] == ["1\n"] * 3


async def test_a_gpu_comes_back_whatever_the_end() -> None:
    """A command that fails, that is stopped or cancelled, or that can't be started gives its GPU back."""
    adapter = local(gpus=["0"], grace_seconds=0.5)
    assert (await adapter.execute(shell("exit 3"))).exit_code == 3
    assert (await adapter.execute(shell("kill -9 $$"))).exit_code == -9
    with pytest.raises(CommandTimeoutError):
        await adapter.execute(shell("sleep 60", timeout_seconds=0.2))
    with pytest.raises(RequestError):
        await adapter.execute(WorkerJob(command="/no/such/program"))
    begun = asyncio.Event()
    running: asyncio.Task[WorkerResult] = asyncio.create_task(
        adapter.execute(shell("echo begun; sleep 60"), on_output=lambda *_: begun.set())
    )
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await asyncio.wait_for(adapter.execute(shell("true")), 60)).gpus == ("0",)


@pytest.mark.parametrize(("settings", "error"), [
    ({"gpus": ["0", "1", "0"]}, r"gpus: .*0 is named twice; chunks_per_gpu says how many"),
    ({"gpus": []}, "gpus"),
    ({"gpus": 0}, "gpus"),
    ({"gpus": ["0,1"]}, "gpus"),
    ({"gpus": ["0"], "chunks_per_gpu": 0}, "chunks_per_gpu"),
    ({"gpus": ["0"], "env": {"CUDA_VISIBLE_DEVICES": "1"}}, "gpus: .*CUDA_VISIBLE_DEVICES is set; leave out one"),
])  # fmt: skip
def test_settings_that_name_no_gpus(settings: dict[str, object], error: str) -> None:
    """GPUs that are named twice, or not at all, and variables that contradict them, are refused."""
    with pytest.raises(SpecError, match=error):
        create_adapter({"type": "local", **settings})


async def test_doctor_names_the_gpus() -> None:
    """The adapter's findings say which GPUs it hands out."""
    found = {finding.what: finding.detail async for finding in local(gpus=[0, 1], chunks_per_gpu=2).diagnose()}
    assert found["GPUs"] == "0, 1; 2 chunks at a time on each"
