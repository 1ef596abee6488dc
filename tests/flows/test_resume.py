"""A job goes on where it stopped: an accepted output that is still there is not rendered again."""

import asyncio
import hashlib
import json
import logging
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import PREFECT_DEFAULT_RESULT_STORAGE_BLOCK, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect_aws import AwsCredentials, S3Bucket

from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.prefect_api.api import RunApi
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from testbed.cloud.aws import BUCKET, Aws
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.running import ended_task_runs, eventually, leftovers, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


def noted_job(folder: Path, *extra: str, chunks: int = 4, **fields: Any) -> dict[str, Any]:
    """A job whose commands leave a note of each execution."""
    (folder / "notes").mkdir(exist_ok=True)
    words = ["--notes", str(folder / "notes"), *extra]
    return make_job([5] * chunks, extra=words, outputFile="video.mp4", **fields)


def executions(folder: Path) -> dict[int, int]:
    """The number of executions of each chunk, by its first frame, as its command has noted."""
    counts: dict[int, int] = {}
    for note in (folder / "notes").iterdir():
        start = int(note.name.partition("-")[0])
        counts[start] = counts.get(start, 0) + 1
    return counts


def records(report: JobReport) -> list[Path]:
    """The files in which Prefect keeps the results of a job's chunks."""
    storage = PREFECT_LOCAL_STORAGE_PATH.value() / "helios-render"
    return [path for path in storage.rglob("chunk-*") if report.run_id in str(path.parent)]


async def test_a_failed_job_renders_only_what_is_missing(tmp_path: Path) -> None:
    """The chunks that were accepted before the failure are reused, and Prefect shows them as cached."""
    fails_once = ("--misbehave", "fail-times:1", "--only", "10")
    state, report = await render(tmp_path, noted_job(tmp_path, *fails_once), concurrency=1)
    assert state.is_failed()
    assert [chunk.state for chunk in report.chunks] == ["completed", "completed", "failed", "pending"]
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert executions(tmp_path) == {0: 1, 5: 1, 10: 2, 15: 1}
    assert [chunk.reused for chunk in report.chunks] == [True, True, False, False]
    assert [chunk.attempts for chunk in report.chunks] == [0, 0, 1, 1]
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))
    runs = await ended_task_runs(report, count=8)
    assert {run.state_name for run in runs if run.name == "chunk-0"} == {"Completed", "Cached"}
    assert {run.state_name for run in runs if run.name == "chunk-2"} == {"Failed", "Completed"}


async def test_a_job_whose_chunks_are_all_accepted_only_stitches(tmp_path: Path) -> None:
    """A job whose chunks are all accepted makes its video again without running a command."""
    _, report = await render(tmp_path, noted_job(tmp_path, chunks=2))
    (tmp_path / "video.mp4").unlink()
    _, report = await resume(report)
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))
    assert set(executions(tmp_path).values()) == {1}
    assert [chunk.reused for chunk in report.chunks] == [True] * 2


async def test_an_output_that_is_not_as_it_was_is_rendered_again(tmp_path: Path) -> None:
    """A missing or changed output is rendered again, and no other output."""
    _, report = await render(tmp_path, noted_job(tmp_path, chunks=7))
    outputs = [tmp_path / f"chunk {index}.mp4" for index in range(7)]
    whole = [output.read_bytes() for output in outputs]
    outputs[0].unlink()
    outputs[1].write_bytes(whole[1][:-10])
    outputs[2].write_bytes(whole[2][:-1] + bytes([whole[2][-1] ^ 1]))
    outputs[3].write_bytes(whole[4])
    outputs[5].unlink()
    outputs[5].symlink_to(tmp_path / "notes")
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert executions(tmp_path) == {0: 2, 5: 2, 10: 2, 15: 2, 20: 1, 25: 2, 30: 1}
    assert [chunk.id for chunk in report.chunks if chunk.reused] == [4, 6]
    assert read_numbers(tmp_path / "video.mp4") == list(range(35))


async def test_a_record_that_can_t_be_read_is_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A record that can't be read is ignored with a warning; its chunk is rendered again, the others are not."""
    _, report = await render(tmp_path, noted_job(tmp_path, chunks=8))
    kept = sorted(records(report), key=lambda path: int(path.name.split("-")[1]))
    contents = [b"", b"{", b"\x80\x04garbage", b'{"metadata": {}, "result": "x"}', kept[4].read_bytes()[:-40],
                kept[6].read_bytes()]  # fmt: skip
    for record, content in zip(kept, contents, strict=False):
        record.write_bytes(content)
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert executions(tmp_path) == dict.fromkeys(range(0, 30, 5), 2) | {30: 1, 35: 1}
    for index in range(6):
        assert re.search(rf"chunk[ -]{index}\b.*ignored", caplog.text), index
    assert "Traceback" not in caplog.text


async def test_a_torn_document_on_record_loses_no_chunk(tmp_path: Path) -> None:
    """A torn record of the document loses no chunk: the chunks' own records say what they were rendered from."""
    _, report = await render(tmp_path, noted_job(tmp_path, chunks=2))
    (records(report)[0].parent / "document").write_bytes(b'{"metadata"')
    await resume(report)
    assert set(executions(tmp_path).values()) == {1}


async def test_a_record_that_can_t_be_written_costs_no_frame(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If a record can't be written the video is whole, and a line says which record is missing."""
    _, report = await render(tmp_path, noted_job(tmp_path, chunks=2))
    record = records(report)[0]
    record.unlink()
    record.mkdir()
    state, _ = await resume(report)
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))
    assert "The chunk's record can't be written: " in caplog.text
    assert "Traceback" not in caplog.text


async def test_result_storage_that_can_t_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    """A job whose result storage can't be used is refused at the start, since it could not be resumed."""
    (tmp_path / "file").write_bytes(b"")
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "file"}):
        state = await render_job(noted_job(tmp_path), job_dir=str(tmp_path), return_state=True)
    assert "Prefect's result storage can't be written" in (state.message or "")
    assert executions(tmp_path) == {}


async def test_a_changed_document_is_refused(tmp_path: Path) -> None:
    """A changed document of the same id is refused with its changes, and touches no file; with fresh it is rendered."""
    await render(tmp_path, noted_job(tmp_path, id="film"))
    changed = noted_job(tmp_path, id="film")
    changed["chunks"][1]["command"] += " --codec libx264"
    changed["metadata"]["fps"] = 25
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")}
    assert len(before) == 5
    (tmp_path / "job.json").write_text(json.dumps(changed))
    state = await render_job(str(tmp_path / "job.json"), return_state=True)
    message = state.message or ""
    assert state.is_failed()
    assert "The job 'film' was begun with another document. What changed since:\n" in message
    assert "metadata.fps: 30 became 25" in message
    assert re.search(r"chunks\[1\]\.command: '….+' became '….+ --codec libx264'", message), message
    assert "(--fresh" in message
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")} == before

    other = noted_job(tmp_path, id="film", start=100)
    state, report = await render(tmp_path, other, fresh=True)
    assert state.is_completed(), state.message
    assert [chunk.reused for chunk in report.chunks] == [False] * 4
    assert read_numbers(tmp_path / "video.mp4") == list(range(100, 120))


@pytest.mark.slow
async def test_the_same_id_is_the_same_job(tmp_path: Path) -> None:
    """Runs of one id reuse each other's accepted chunks; a fresh run renders all; runs without an id share nothing."""
    await render(tmp_path, noted_job(tmp_path, id="the same", chunks=2))
    _, again = await render(tmp_path, noted_job(tmp_path, id="the same", chunks=2))
    assert [chunk.reused for chunk in again.chunks] == [True] * 2
    assert set(executions(tmp_path).values()) == {1}
    _, again = await render(tmp_path, noted_job(tmp_path, id="the same", chunks=2), fresh=True)
    assert set(executions(tmp_path).values()) == {2}
    # A fresh run that is resumed does not render its own chunks twice.
    _, again = await resume(again)
    assert set(executions(tmp_path).values()) == {2}
    await render(tmp_path, noted_job(tmp_path, chunks=2))
    await render(tmp_path, noted_job(tmp_path, chunks=2))
    assert set(executions(tmp_path).values()) == {4}


async def test_a_named_chunk_is_rendered_anew(tmp_path: Path) -> None:
    """A run that names chunks renders them, although they are accepted."""
    await render(tmp_path, noted_job(tmp_path, id="one of them"))
    await render(tmp_path, noted_job(tmp_path, id="one of them"), chunks=[2])
    assert executions(tmp_path) == {0: 1, 5: 1, 10: 2, 15: 1}


async def test_another_job_directory_shares_no_files(tmp_path: Path) -> None:
    """A run in another job directory reuses nothing, since a record names the file that was accepted."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        job = make_job((5, 5), id="two places", outputFile="video.mp4")
        _, report = await render(tmp_path / name, job)
        assert [chunk.reused for chunk in report.chunks] == [False] * 2


async def test_two_runs_of_one_job_at_the_same_time(tmp_path: Path) -> None:
    """A second run of a job names the first and stops; the first is not disturbed, and other jobs are not held up."""
    slow = ("--misbehave", f"until:{tmp_path}")
    first = asyncio.create_task(render(tmp_path, noted_job(tmp_path, *slow, id="held"), concurrency=4))
    await eventually(partial(_has_begun, tmp_path, first))
    second = await render_job(str(tmp_path / "job.json"), return_state=True)
    assert second.is_failed()
    assert "The job 'held' is being rendered by run job-" in (second.message or "")
    assert f"process {os.getpid()} on " in (second.message or "")
    (tmp_path / "other").mkdir()
    state, _ = await render(tmp_path / "other", make_job((5,), id="not held"))
    assert state.is_completed()
    (tmp_path / "all").touch()
    state, _ = await first
    assert state.is_completed()
    assert set(executions(tmp_path).values()) == {1}


def _api(client: PrefectClient) -> RunApi:
    return RunApi(client, logging.getLogger(__name__))


async def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of a dead process on this machine is taken over at once, without watching it."""
    monkeypatch.setattr("tasks.run.lock.OWNER_DEAD_SECONDS", 400.0)
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    async with get_client() as client:
        dead = _holder(pid=gone.pid, started="1")
        await JobLock(_api(client), _key("left behind"), dead).acquire()
        state, _ = await asyncio.wait_for(render(tmp_path, noted_job(tmp_path, id="left behind")), 300)
    assert state.is_completed(), state.message


@pytest.mark.slow
async def test_a_lock_elsewhere_expires_when_nothing_renews_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock of another machine holds while it is renewed, and expires after that; no clocks are compared."""
    # Ten renewals fit into this time: a machine that stands still for a moment does not miss all of them.
    monkeypatch.setattr("tasks.run.lock.OWNER_DEAD_SECONDS", 6.0)
    async with get_client() as client:
        lock = JobLock(_api(client), _key("far away"), _holder(machine="another one"))
        await lock.acquire()

        async def renew() -> None:
            while True:
                await asyncio.sleep(0.6)
                await lock.renew()

        alive = asyncio.create_task(renew())
        with pytest.raises(AssertionError, match="is being rendered by run run-elsewhere"):
            await render(tmp_path, noted_job(tmp_path, id="far away"))
        alive.cancel()
        state, _ = await render(tmp_path, noted_job(tmp_path, id="far away"))
    assert state.is_completed(), state.message


async def test_a_run_that_lost_its_lock_stops(tmp_path: Path) -> None:
    """A run whose lock another run took over stops."""
    job = noted_job(tmp_path, "--misbehave", f"until:{tmp_path}", id="lost")
    work = asyncio.create_task(render(tmp_path, job))
    await eventually(partial(_has_begun, tmp_path, work))
    async with get_client() as client:
        found = await client.request(
            "GET", "/variables/name/{name}", path_params={"name": f"helios-job-{_key('lost')}"}
        )
        await client.request("DELETE", "/variables/{id}", path_params={"id": found.json()["id"]})
    state, report = await work
    assert "Another run took this job over" in (state.message or "")
    assert report.state is RunState.FAILED


async def test_leftovers_of_a_run_that_died_are_removed(tmp_path: Path) -> None:
    """Files that a dead run of this job left are removed, and those of other jobs are not."""
    job = noted_job(tmp_path, id="with leftovers")
    owner = _key("with leftovers").rpartition("-")[2]
    for name in (f"chunk 1-attempt-{owner}-0123abcd-1.mp4", f"video-attempt-{owner}-0123abcd-stitch.mp4"):
        (tmp_path / name).write_bytes(b"half of it")
    (tmp_path / "chunk 1-attempt-000000000000-0123abcd-1.mp4").write_bytes(b"somebody else's")
    await render(tmp_path, job)
    assert leftovers(tmp_path) == ["chunk 1-attempt-000000000000-0123abcd-1.mp4"]


async def test_results_in_an_s3_bucket(tmp_path: Path, amazon: Aws) -> None:
    """Records can be kept in an S3 bucket by Prefect's setting, and a job is resumed from them."""
    keys = AwsCredentials(
        aws_access_key_id=amazon.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=amazon.environment["AWS_SECRET_ACCESS_KEY"],
        aws_client_parameters={"endpoint_url": amazon.environment["AWS_ENDPOINT_URL"]},
    )
    await S3Bucket(bucket_name=BUCKET, bucket_folder="results", credentials=keys).asave("results", overwrite=True)
    with temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "s3-bucket/results"}):
        fails_once = ("--misbehave", "fail-times:1", "--only", "10")
        state, report = await render(tmp_path, noted_job(tmp_path, *fails_once), concurrency=1)
        assert state.is_failed()
        state, report = await resume(report)
    assert state.is_completed(), state.message
    assert records(report) == []
    assert executions(tmp_path) == {0: 1, 5: 1, 10: 2, 15: 1}


async def _has_begun(folder: Path, work: asyncio.Task[Any]) -> bool:
    assert not work.done(), work.result()
    return any((folder / "notes").iterdir())


def _key(job_id: str) -> str:
    return f"{job_id.replace(' ', '-')}-{hashlib.sha256(job_id.encode()).hexdigest()[:12]}"


def _holder(**fields: Any) -> LockOwner:
    here = LockOwner.this_process(job="job", run_id="00000000-0000-0000-0000-000000000000", run_name="run-elsewhere")
    return here.model_copy(update={"owner": "nobody-", **fields})
