"""Jobs on a machine's GPUs, through the flow; the GPUs are names that the adapter is given."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from helios.models.report import RunState
from testbed.jobs import make_job
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder beside the job directory, whose files would be inputs."""
    (tmp_path / "job").mkdir()
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def noting(folder: Path, job: dict[str, Any], *, also: str = "") -> dict[str, Any]:
    """The job, whose commands write down their GPUs, each in a file named after chunk and process."""
    for chunk in job["chunks"]:
        note = f"echo $CUDA_VISIBLE_DEVICES > {folder}/gpus-{chunk['id']}-$$; {also}"
        chunk["command"] = f"sh -c {shlex.quote(note + ' exec ' + chunk['command'])}"
    return job


def noted(folder: Path, chunk: int) -> list[str]:
    return [path.read_text().strip() for path in folder.glob(f"gpus-{chunk}-*")]


async def timeline_of(run_id: str) -> str:
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), key=ArtifactFilterKey(any_=["render-timeline"])
    )
    async with get_client() as client:
        (artifact,) = await client.read_artifacts(artifact_filter=wanted)
    return str(artifact.data)


@pytest.mark.parametrize("share", [1, 2])
async def test_chunks_share_the_gpus_and_the_timeline_says_so(tmp_path: Path, notes: Path, share: int) -> None:
    """Chunks get GPUs in turn, one of them both; the run's timeline has a line for each GPU."""
    job = noting(notes, make_job([4, 4, 4, 4]))
    job["chunks"][2]["requires"] = {"gpus": 2}
    adapter = {"type": "local", "gpus": ["4", "6"], "chunks_per_gpu": share}
    _, report = await render(tmp_path / "job", job, adapter=adapter, concurrency=None)
    assert report.state is RunState.COMPLETED
    assert noted(notes, 2) == ["4,6"]
    assert {gpus for chunk in (0, 1, 3) for gpus in noted(notes, chunk)} <= {"4", "6"}
    timeline = await timeline_of(report.run_id)
    assert "GPU 4: " in timeline
    assert "GPU 6: " in timeline


@pytest.mark.parametrize("end", ["exit 1", "kill -9 $$"])
async def test_an_attempt_that_dies_gives_its_gpu_back(tmp_path: Path, notes: Path, end: str) -> None:
    """On a machine of one GPU, a failed or killed attempt is followed by others; a resume renders what is missing."""
    once = f"test -e {notes}/go || {{ {end}; }};"
    job = noting(notes, make_job([4, 4, 4]), also=once) | {"id": f"on-a-gpu-{tmp_path.name}"}
    adapter = {"type": "local", "gpus": ["0"]}
    _, report = await render(tmp_path / "job", job, adapter=adapter, retries=1, environment_retries=1)
    assert report.state is RunState.FAILED
    assert max(len(noted(notes, chunk)) for chunk in range(3)) >= 2
    assert "GPU 0: " in await timeline_of(report.run_id)
    (notes / "go").touch()
    _, report = await render(tmp_path / "job", job, adapter=adapter)
    assert report.state is RunState.COMPLETED
    again = {"type": "local", "gpus": ["GPU-8f9c"], "chunks_per_gpu": 2}
    _, report = await render(tmp_path / "job", job, adapter=again)
    assert all(chunk.reused for chunk in report.chunks)


async def test_an_attempt_that_runs_out_of_time(tmp_path: Path, notes: Path) -> None:
    """The timeline shows the GPU of an attempt that ended by an error, and how long it had it."""
    job = noting(notes, make_job([4]), also="exec sleep 60;")
    adapter = {"type": "local", "gpus": ["5"], "grace_seconds": 0.1}
    _, report = await render(tmp_path / "job", job, adapter=adapter, chunk_timeout_seconds=1.5)
    assert report.state is RunState.FAILED
    assert noted(notes, 0) == ["5"]
    line = next(line for line in (await timeline_of(report.run_id)).splitlines() if "GPU 5: " in line)
    assert "of rendering in 1 attempts, 1 of which failed" in line
    assert "GPU 5: 0.0 s" not in line


async def test_more_gpus_than_there_are(tmp_path: Path, notes: Path) -> None:
    """A chunk that requires more GPUs than the adapter hands out is refused before anything renders."""
    job = noting(notes, make_job([4, 4]))
    job["chunks"][1]["requires"] = {"gpus": 3}
    _, report = await render(tmp_path / "job", job, adapter={"type": "local", "gpus": ["4", "6"]})
    assert report.state is RunState.FAILED
    assert "Chunk 1 requires 3 GPUs, and the adapter has 2 (4, 6): name more" in (report.error or "")
    assert noted(notes, 0) == []
