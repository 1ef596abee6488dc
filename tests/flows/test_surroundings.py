"""What surrounds the commands of a job on this machine: a clean environment, a TMPDIR of their own, a sandbox."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State

from flows.render import render_job
from helios.models.report import RunState
from helios.processes.attempt_folder import LOCK, own_temporary_folder
from testbed.jobs import make_job, write_job
from testbed.video import Clip, read_numbers, write_clip
from tests.adapters.test_sandbox import needs_bubblewrap
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture(autouse=True)
def _own_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's temporary folder is the test's own, so that other tests' attempts are not in it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job directory with the frames that the job's commands copy."""
    folder = tmp_path / "job"
    folder.mkdir()
    for index in range(2):
        write_clip(folder / f"source{index}.mp4", Clip(), start=10 * index, count=10)
    return folder


def copies(merge: str | None = None, *, script: str = "env > env{index}; touch $TMPDIR/file; ") -> dict[str, Any]:
    """A job document whose commands run a script, and copy their frames."""
    fields: dict[str, Any] = {"mergeCommand": f"sh -c '{merge}'"} if merge else {}
    document = make_job((10, 10), name="chunk{index}", **fields)
    for index, chunk in enumerate(document["chunks"]):
        words = script.replace("{index}", str(index))
        chunk["command"] = f"sh -c '{words} cp source{index}.mp4 $1' - chunk{index}.mp4"
    return document


def variables(path: Path) -> dict[str, str]:
    """What `env` has written."""
    pairs = [line.partition("=") for line in path.read_text().splitlines()]
    return {name: value for name, _, value in pairs}


async def test_chunks_and_merge_command_get_a_clean_environment(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands see no credential; each has a TMPDIR of its own, and none of them is left."""
    monkeypatch.setenv("GH_TOKEN", "hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    merge = "env > env-merge; touch $TMPDIR/file; cat chunk0.mp4 chunk1.mp4 > merged"
    adapters = {"adapter": {"type": "local", "pass_env": ["GH_TOKEN"]}, "merge_adapter": "local"}
    _, report = await render(job, copies(merge), **adapters)
    assert [chunk.state for chunk in report.chunks] == [RunState.COMPLETED] * 2
    seen = [variables(job / name) for name in ("env0", "env1", "env-merge")]
    assert not any(name.startswith(("PREFECT_", "AWS_")) for one in seen for name in one)
    assert [one.get("GH_TOKEN") for one in seen] == ["hush", "hush", None]
    assert len({one["TMPDIR"] for one in seen}) == 3
    assert [path for path in own_temporary_folder().glob("*/*") if path.name != LOCK] == []


@needs_bubblewrap
async def test_a_job_in_a_sandbox(job: Path) -> None:
    """Chunks and merge command run in a sandbox, and cannot write beside the job directory."""
    script = "touch ../outside && echo escaped > escaped{index};"
    merge = "touch ../outside && echo escaped > escaped; cat chunk0.mp4 chunk1.mp4 > merged"
    settings = {"type": "local", "sandbox": "bubblewrap"}
    state, _ = await render(job, copies(merge, script=script), adapter=settings)
    assert state.is_completed(), state.message
    assert (job / "merged").exists()
    state, _ = await render(job, copies(script=script), adapter=settings, output_file="video.mp4")
    assert read_numbers(job / "video.mp4") == list(range(20))
    assert not list(job.glob("escaped*"))
    assert not (job.parent / "outside").exists()


async def test_a_sandbox_that_does_not_work_refuses_the_run(
    job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without bubblewrap a run that asks for the sandbox is refused before anything runs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    path = write_job(job, copies())
    settings = {"type": "local", "sandbox": "bubblewrap"}
    state: State[Any] = await render_job(str(path), adapter=settings, return_state=True)
    assert state.is_failed()
    assert "needs the program 'bwrap'" in (state.message or "")
    assert not list(job.glob("env*"))
