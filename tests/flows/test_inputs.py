"""A changed input renders again what was made from it, and nothing else; what commands write is no input."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from helios.job.file_digests import FOLDER
from helios.models.report import InputsReport, JobReport
from testbed.cloud.aws import Aws
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import here, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import JobBeside, begun, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


class Job:
    """A job of four chunks with an id, in a folder with a scene and a file for each chunk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "notes").mkdir()
        (folder / "scene.html").write_text("blue")
        for index in range(4):
            (folder / f"props-{index}.json").write_text("{}")
        notes = ["--notes", str(folder / "notes")]
        self.document = make_job([5] * 4, extra=notes, id=str(folder), outputFile="video.mp4")

    async def render(self, **parameters: Any) -> JobReport:
        """Run the job to its end."""
        state, report = await render(self.folder, self.document, **parameters)
        assert state.is_completed(), state.message
        assert read_numbers(self.folder / "video.mp4") == list(range(20))
        return report


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def reused(report: JobReport) -> list[bool]:
    return [chunk.reused for chunk in report.chunks]


@pytest.mark.slow
async def test_an_edited_scene_is_rendered_again(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """After a file in the job directory was edited, the job is rendered again, and the report and the log say why."""
    report = await job.render()
    assert report.inputs is None
    report = await job.render()
    assert (reused(report), report.inputs) == ([True] * 4, None)
    (job.folder / "scene.html").write_text("teal")
    report = await job.render()
    message = "scene.html changed: 4 of 4 chunks render again; 0 reused"
    assert report.inputs == InputsReport(message=message, rendered_again=4)
    assert reused(report) == [False] * 4
    assert "scene.html changed; the chunks that read this render again" in caplog.text
    assert message in [record.getMessage() for record in caplog.records]
    assert reused(await job.render()) == [True] * 4
    (job.folder / "props-0.json").unlink()
    (job.folder / "new.txt").touch()
    report = await job.render()
    assert report.inputs is not None
    assert report.inputs.message == ("new.txt is new, props-0.json was removed: 4 of 4 chunks render again; 0 reused")


@pytest.mark.slow
async def test_what_was_rendered_before_a_change_counts(job: Job) -> None:
    """A change after which a run was stopped is not forgotten by the run after it, and a change undone is none."""
    await job.render()
    (job.folder / "scene.html").write_text("red")
    await job.render(chunks=[1])
    report = await job.render()
    assert reused(report) == [False, True, False, False]
    assert report.inputs is not None
    assert report.inputs.message == "scene.html changed: 3 of 4 chunks render again; 1 reused"
    (job.folder / "scene.html").write_text("blue")
    await job.render(chunks=[0])
    (job.folder / "scene.html").write_text("red")
    assert reused(await job.render()) == [False, True, True, True]


async def test_a_chunk_s_own_inputs(job: Job) -> None:
    """If chunks name their inputs, a change renders those again that read it; naming them renders nothing again."""
    await job.render()
    job.document["inputs"] = ["scene.html"]
    for index, chunk in enumerate(job.document["chunks"]):
        chunk["inputs"] = [f"props-{index}.*", "scene.html"]
    report = await job.render()
    assert (reused(report), report.inputs) == ([True] * 4, None)
    (job.folder / "props-1.json").write_text("[]")
    (job.folder / "unread.txt").touch()
    report = await job.render()
    assert reused(report) == [True, False, True, True]
    assert report.inputs is not None
    assert report.inputs.message == "props-1.json changed: 1 of 4 chunks renders again; 3 reused"
    job.document["chunks"][0]["inputs"] = ["props.json"]
    with pytest.raises(AssertionError, match=r"The inputs pattern 'props.json' finds no file in .*; correct it"):
        await job.render()


async def test_variables_and_the_revision_are_inputs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that the adapter names, and the revision, render everything again when they change."""
    monkeypatch.setenv("LICENCE_A", "1")
    adapter = {"type": "local", "env": {"COLOUR": "blue"}, "pass_env": ["LICENCE_*"]}
    job.document["revision"] = "7"
    await job.render(adapter=adapter)
    assert reused(await job.render(adapter=adapter, revision="7")) == [True] * 4
    monkeypatch.setenv("LICENCE_A", "2")
    monkeypatch.setenv("OTHER", "2")
    adapter["env"] = {"COLOUR": "blue", "SIZE": "2"}
    report = await job.render(adapter=adapter, revision="8")
    assert report.inputs is not None
    assert report.inputs.message == (
        "variable LICENCE_A, variable SIZE, the revision changed: 4 of 4 chunks render again; 0 reused"
    )


async def test_a_directory_of_everything(job: Job, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """If the job directory holds too much to be looked at, a warning says so, and accepted chunks are reused."""
    monkeypatch.setattr("helios.job.inputs.MAX_FILES", 3)
    for _ in range(2):
        report = await job.render()
        (job.folder / "scene.html").write_text("teal")
    assert reused(report) == [True] * 4
    assert "changes of input files are not noticed. Name the job's inputs in its document" in caplog.text
    monkeypatch.undo()
    assert reused(await job.render()) == [True] * 4
    (job.folder / "scene.html").write_text("red")
    assert reused(await job.render()) == [False] * 4


async def test_a_revision_that_is_none(job: Job) -> None:
    """An endless revision is refused; an empty one is none, as a form sends it."""
    with pytest.raises((AssertionError, ValueError), match="revision"):
        await job.render(revision="x" * 201)
    await job.render()
    assert reused(await job.render(revision="")) == [True] * 4


@pytest.mark.slow
async def test_side_files_are_no_inputs(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """What commands write beside their outputs is no input; a file that was there before is, and the log says so."""
    (job.folder / "old.log").write_text("")
    script = (
        'date +%N > "frames-$1.tmp"; date +%N >> new.log; [ -z "$TOUCH_OLD" ] || date +%N >> old.log; shift; exec "$@"'
    )
    for index, chunk in enumerate(job.document["chunks"]):
        chunk["command"] = f"sh -c '{script}' sh {index} {chunk['command']}"
    await job.render()
    (job.folder / "chunk 2.mp4").unlink()
    assert reused(await job.render()) == [True, True, False, True]
    (job.folder / "chunk 2.mp4").unlink()
    assert reused(await job.render()) == [True, True, False, True]
    assert "frames-0.tmp, frames-1.tmp, frames-2.tmp, frames-3.tmp, new.log and 4 more appeared while" in caplog.text
    report = await job.render(adapter={"type": "local", "env": {"TOUCH_OLD": "1"}})
    assert report.inputs is not None
    assert report.inputs.changed_meanwhile == ("old.log",)
    assert "old.log changed while chunks were rendered; which of them show" in caplog.text
    caplog.clear()
    await job.render(adapter={"type": "local", "env": {"TOUCH_OLD": "1"}})
    assert "old.log changed: 4 of 4 chunks render again; 0 reused. If the job's commands write it" in caplog.text


async def test_a_change_while_chunks_are_rendered(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    """An input that changes while the run goes on is named before the join, and rendered again by the next run."""
    for chunk in job.document["chunks"]:
        chunk["command"] += f" --misbehave until:{job.folder}"
    work = asyncio.create_task(job.render(concurrency=4))
    await JobBeside(job.folder, work).until_begun(4)
    (job.folder / "scene.html").write_text("teal")
    (job.folder / "all").touch()
    report = await work
    assert report.inputs == InputsReport(changed_meanwhile=("scene.html",))
    said = [record.getMessage() for record in caplog.records]
    changed = next(index for index, line in enumerate(said) if line.startswith("scene.html changed while chunks were"))
    assert changed < next(index for index, line in enumerate(said) if line.startswith("Stitching"))
    report = await job.render()
    assert report.inputs is not None
    assert report.inputs.message == "scene.html changed: 4 of 4 chunks render again; 0 reused"


async def test_a_run_that_is_resumed_looks_again(tmp_path: Path) -> None:
    """A run without an id that is resumed after an edit renders its chunks again too."""
    (tmp_path / "scene.html").write_text("blue")
    _, report = await render(tmp_path, make_job((5, 5), outputFile="video.mp4"))
    _, report = await resume(report)
    assert reused(report) == [True, True]
    (tmp_path / "scene.html").write_text("teal")
    _, report = await resume(report)
    assert reused(report) == [False, False]


@pytest.mark.parametrize(
    "lost", ["note", pytest.param("list", marks=pytest.mark.slow), pytest.param("cache", marks=pytest.mark.slow)]
)
async def test_notes_that_are_lost(job: Job, lost: str) -> None:
    """Without this program's notes no change is missed, and without a change nothing is rendered again."""
    await job.render()
    if lost == "list":
        for path in Path(os.environ["PREFECT_HOME"], "storage", "helios-render").rglob("inputs-*"):
            path.write_bytes(b"{")
    else:
        name = "digests.json" if lost == "cache" else "*-*.json"
        for path in (job.folder / FOLDER).glob(name):
            path.write_bytes(b"{")
    # The notes of the commands' executions look new where it is not known that a run went on.
    for path in (job.folder / "notes").iterdir():
        path.unlink()
    assert reused(await job.render()) == [True] * 4
    (job.folder / "scene.html").write_text("teal")
    assert reused(await job.render()) == [False] * 4


@pytest.mark.slow  # one record for all adapters
async def test_workers_elsewhere(job: Job, amazon: Aws) -> None:
    """The same holds for workers over storage, whose input files are hashed once for the record and the upload."""
    await job.render(adapter=amazon.config)
    assert reused(await job.render(adapter=amazon.config)) == [True] * 4
    (job.folder / "scene.html").write_text("teal")
    report = await job.render(adapter=amazon.config)
    assert report.inputs is not None
    assert report.inputs.message == "scene.html changed: 4 of 4 chunks render again; 0 reused"
    job.document["chunks"][0]["inputs"] = ["props-0.json"]
    (job.folder / "scene.html").write_text("red")
    # What is uploaded is what counts, if the document names nothing.
    assert reused(await job.render(adapter={**amazon.config, "assets": ["props-*.json"]})) == [True] * 4
    (job.folder / "props-0.json").write_text("[]")
    (job.folder / "scene.html").write_text("green")
    assert reused(await job.render(adapter=amazon.config)) == [False] * 4


# tests/cli/test_control.py kills a run too, and the test of side files above has what commands write.
@pytest.mark.slow
def test_a_killed_run_is_resumed(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """After SIGKILL in the middle of commands that write side files, what was accepted is reused."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "scene.html").write_text("blue")
    document = make_job([5] * 6, extra=["--notes", str(tmp_path / "notes"), "--misbehave", "slow:1"],
                        id=str(tmp_path), outputFile="video.mp4")  # fmt: skip
    script = 'trap "date >> ended.log; exit 1" TERM; date >> render.log; "$@" & echo $! > frame-$!.tmp; wait $!'
    for chunk in document["chunks"]:
        chunk["command"] = f"sh -c '{script}' sh {chunk['command']}"
    path = write_job(tmp_path, document)
    process = start_helios_job("run", path, "--concurrency", 2)
    try:
        until(lambda: begun(tmp_path) >= 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not processes_of(tmp_path))
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / "render.log").exists()
    there = len(list(tmp_path.glob("chunk ?.mp4")))
    assert there >= 2
    done = here("run", path, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    # An output whose record was not written before the kill is rendered again.
    assert max(there - 2, 1) <= sum(chunk["reused"] for chunk in report["chunks"]) <= there
    assert report["inputs"] is None
    (tmp_path / "scene.html").write_text("teal")
    done = here("run", path, "--concurrency", 6)
    assert "(scene.html changed: 6 of 6 chunks render again; 0 reused)" in done.stdout
