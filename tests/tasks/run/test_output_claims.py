"""Claims of outputs: of two runs that would write one file, one is refused before anything runs."""

import asyncio
import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from helios.errors import RequestError
from tasks.request.prepare import PreparedJob, prepare
from tasks.request.request import RenderRequest
from tasks.run.lock_owner import LockOwner
from tasks.run.output_claims import OutputClaimedError, claimed_outputs
from testbed.cloud.processes import ROOT
from testbed.jobs import make_job, write_job

LOGGER = logging.getLogger("tests.claims")


def holder(name: str = "bold-owl") -> LockOwner:
    return LockOwner.this_process(job=f"the {name}", run_id=str(uuid.uuid4()), run_name=name)


def prepared(folder: Path, *, name: str = "c{index}", **parameters: Any) -> PreparedJob:
    """A job of three chunks in a folder."""
    folder.mkdir(exist_ok=True)
    return prepare(RenderRequest(make_job(name=name), job_dir=str(folder), **parameters))


async def is_free(job: PreparedJob) -> bool:
    """Whether a run can claim the job's outputs."""
    try:
        async with claimed_outputs(job, holder("late-fox"), LOGGER):
            return True
    except OutputClaimedError:
        return False


async def test_a_refusal_says_who_and_what_to_do(tmp_path: Path) -> None:
    """A refusal names the file, the job, the run's name and id, its process and machine, and three ways out."""
    owner = holder()
    async with claimed_outputs(prepared(tmp_path), owner, LOGGER):
        with pytest.raises(OutputClaimedError) as caught:
            async with claimed_outputs(prepared(tmp_path), holder("late-fox"), LOGGER):
                pytest.fail("both have it")
    assert caught.value.owner == owner
    for words in (
        f"{tmp_path}/c0.mp4 and 2 more of this job's outputs are being written by the job 'the bold-owl'",
        f"run bold-owl ({owner.run_id}), process {os.getpid()} on {owner.host}",
        "expected outputs that no running job writes",
        "Give this job a folder (--job-dir) or output names of its own",
        f"helios-job cancel {owner.run_id}",
    ):
        assert words in str(caught.value)


MEETINGS: dict[str, Callable[[Path], PreparedJob]] = {
    "the same folder": lambda folder: prepared(folder),
    "one name of three": lambda folder: prepare(
        RenderRequest(make_job((5,), name="c2", mergeCommand="true"), job_dir=str(folder))
    ),
    "a link to the folder": lambda folder: prepared(folder.with_name("link")),
    "the folder's parent": lambda folder: prepared(folder.parent, name=f"{folder.name}/c{{index}}"),
    "the first job's video": lambda folder: prepared(folder.parent / "videos", name="film{index}"),
    "a video for a chunk": lambda folder: prepared(
        folder.with_name("second"), name="x{index}", output_file=str(folder / "c1.mp4")
    ),
    "a video, by a way round": lambda folder: prepared(
        folder.with_name("second"), name="x{index}", output_file="../videos/../link/c1.mp4"
    ),
}


@pytest.mark.parametrize("meeting", MEETINGS)
async def test_outputs_that_are_one_file(tmp_path: Path, meeting: str) -> None:
    """Jobs that write to one file exclude each other, by whatever path, link or job directory they name it."""
    first, second = tmp_path / "first", MEETINGS[meeting]
    (tmp_path / "link").symlink_to(first)
    (tmp_path / "videos").mkdir()
    async with claimed_outputs(prepared(first, output_file="../videos/film1.mp4"), holder(), LOGGER):
        assert not await is_free(second(first))
    assert await is_free(second(first))


async def test_outputs_that_are_several_files(tmp_path: Path) -> None:
    """Jobs with different outputs may share a folder, and parts of a job may be rendered beside each other."""
    async with (
        claimed_outputs(prepared(tmp_path, chunks=[0, 1]), holder(), LOGGER),
        claimed_outputs(prepared(tmp_path, chunks=[2]), holder(), LOGGER),
        claimed_outputs(prepared(tmp_path, name="x{index}", output_file="video.mp4"), holder(), LOGGER),
    ):
        assert not await is_free(prepared(tmp_path, chunks=[2]))


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Neither a run nor a refusal leaves a claim behind; other contents of .helios stay."""
    (tmp_path / "kept" / ".helios" / "logs").mkdir(parents=True)
    job = prepared(tmp_path, name="kept/c{index}", output_file="out/video.mp4")
    async with claimed_outputs(job, holder(), LOGGER):
        assert not await is_free(job)
        assert len(list(tmp_path.rglob(".helios/claims/*.json"))) == 2
    assert await is_free(job)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "kept", "kept/.helios", "kept/.helios/logs", "out",
    ]  # fmt: skip


@contextmanager
def claimer(processes: int, *documents: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program whose processes claim jobs within the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "testbed.programs.claim", str(processes), *map(str, documents)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()  # the program's other processes end with their standard input


def line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("inherited", [pytest.param(False, marks=pytest.mark.slow), True])
async def test_a_run_that_was_killed_blocks_nobody(tmp_path: Path, inherited: bool) -> None:
    """The claim of a killed run blocks no other run, even if a child has inherited its lock."""
    job, document = prepared(tmp_path), write_job(tmp_path, make_job(name="c{index}"))
    with claimer(0 if inherited else 1, document) as process:
        assert line(process) == [0, 0, "claimed"]
        child = line(process) if inherited else None
        assert not await is_free(job)
        process.kill()
        process.wait()
        try:
            assert await is_free(job)
        finally:
            if child is not None:
                os.kill(child, signal.SIGKILL)
    assert not (tmp_path / ".helios").exists()


async def test_of_many_that_begin_at_once_one_has_it(tmp_path: Path) -> None:
    """Of many runs that claim one folder at once, one gets it, and the others are told which; in many folders."""
    documents, processes = [], 4
    for index in range(40):
        folder = tmp_path / f"job{index}"
        folder.mkdir()
        documents.append(write_job(folder, make_job((5, 5), name="{index}/c")))
    said: dict[int, list[str]] = {index: [] for index in range(len(documents))}
    with claimer(processes, *documents) as process:
        for _ in range(processes * len(documents)):
            _, index, words = line(process)
            said[index].append(words)
    for words in said.values():
        assert words.count("claimed") == 1, words
        assert sum("being written by the job 'other', run bold-owl" in refusal for refusal in words) == 3, words


async def test_no_child_has_the_locks(tmp_path: Path) -> None:
    """A child does not inherit the locks' files, even if it is started with all files that may be inherited."""
    async with claimed_outputs(prepared(tmp_path), holder(), LOGGER):
        listing = subprocess.run(
            ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
        )
        assert "claims" not in listing.stdout
        own = subprocess.run(  # files that other threads close meanwhile are errors of ls
            ["ls", "-l", f"/proc/{os.getpid()}/fd"], capture_output=True, text=True, check=False
        )
        assert "claims" in own.stdout


async def test_a_cancelled_wait_holds_nothing(tmp_path: Path) -> None:
    """A run that waits for its turn to claim can be cancelled, and then holds nothing."""
    job, place = prepared(tmp_path), tmp_path / ".helios" / "claims"
    place.mkdir(parents=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = asyncio.create_task(is_free(job))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert list(place.glob("*.json")) == []
    assert await is_free(job)


async def test_a_claim_that_cannot_be_read(tmp_path: Path) -> None:
    """A claim that can't be read counts as long as a process has it locked, and is ignored after that."""
    place = tmp_path / ".helios" / "claims"
    place.mkdir(parents=True)
    with (place / "x.json").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RequestError, match=r"x\.json is held by a process, but can't be read; .*fuser"):
            await is_free(prepared(tmp_path))
    assert await is_free(prepared(tmp_path))


async def test_a_place_for_claims_that_cannot_be_used(tmp_path: Path) -> None:
    """A job is refused if claims can't be kept in its folder, since other jobs could write there unseen."""
    (tmp_path / ".helios").mkdir()
    (tmp_path / ".helios" / "claims").write_text("a file")
    with pytest.raises(RequestError, match=r"can't be claimed for this job: claims is no folder, and was expected"):
        await is_free(prepared(tmp_path))


@pytest.mark.parametrize("name", [".helios", ".helios/claims"])
async def test_claims_behind_a_link(tmp_path: Path, name: str) -> None:
    """A job is refused where claims lie behind a link, also beside a video elsewhere; nothing there is changed."""
    elsewhere, videos = tmp_path / "elsewhere", tmp_path / "videos"
    for folder in (elsewhere / "claims", (videos / name).parent):
        folder.mkdir(parents=True, exist_ok=True)
    for theirs in (elsewhere / "theirs.json", elsewhere / "claims" / "theirs.json"):
        theirs.write_text("{}")
    (videos / name).symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(RequestError, match="is a link, and was expected to be a folder"):
        await is_free(prepared(tmp_path / "job", output_file=str(videos / "video.mp4")))
    assert sorted(elsewhere.rglob("*")) == before


async def test_what_is_no_claim(tmp_path: Path) -> None:
    """Links, pipes, folders and files without end among the claims are not followed, waited for or read."""
    place, elsewhere = tmp_path / ".helios" / "claims", tmp_path / "elsewhere"
    (place / "folder.json").mkdir(parents=True)
    elsewhere.write_text("safe")
    (place / "link.json").symlink_to(elsewhere)
    os.mkfifo(place / "pipe.json")
    (place / "nothing.json").symlink_to(tmp_path / "nowhere")
    assert await is_free(prepared(tmp_path))
    assert (elsewhere.read_text(), sorted(os.listdir(place))) == ("safe", ["folder.json", "lock"])
    (place / "lock").unlink()
    (place / "lock").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RequestError, match="can't be claimed for this job: Too many levels of symbolic links"):
        await is_free(prepared(tmp_path))
    assert not (tmp_path / "nowhere").exists()


async def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system without locks a job goes on with a warning. The test replaces the kernel's answer."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert await is_free(prepared(tmp_path))
    assert "has no locks (Operation not supported): make sure yourself that no other job writes" in caplog.text


async def test_a_folder_that_cannot_be_written_to(caplog: pytest.LogCaptureFixture) -> None:
    """In a folder that can't be written to a job goes on with a warning: it may need only accepted chunks."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o555)
        with _without_rights():
            assert await is_free(prepare(RenderRequest(make_job(), job_dir=name)))
    assert f"{name} can't be written to (Permission denied): only outputs that were accepted before" in caplog.text


@contextmanager
def _without_rights() -> Iterator[None]:
    """Give up root's rights within the block, if the tests run as root."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
