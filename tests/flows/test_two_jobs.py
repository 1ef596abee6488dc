"""Two jobs in one folder, and chunks that other programs change: no video has another job's frames."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Pending

from farm.here import start_flow
from flows.render import render_job
from testbed.jobs import make_job, moving_job, write_job
from testbed.video import Clip, read_numbers, write_clip
from tests.command import helios_job, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import eventually, leftovers, render, report_of, resume

pytestmark = pytest.mark.usefixtures("prefect_api")
MERGE = "sh -c 'cat c0.mp4 c1.mp4 > merged'"


def job_that_waits(folder: Path, **fields: Any) -> dict[str, Any]:
    """A job of two chunks, whose second chunk waits for a file `all` in the folder `gate`."""
    (folder / "gate").mkdir(parents=True, exist_ok=True)
    waits = ["--misbehave", f"until:{folder / 'gate'}", "--only", "5"]
    return make_job((5, 5), name="c{index}", extra=waits, **fields)


async def test_the_second_of_two_jobs_is_refused(tmp_path: Path) -> None:
    """The second of two jobs is refused before a command runs, the first is exact, and then the second may run."""
    first = asyncio.create_task(render(tmp_path, job_that_waits(tmp_path, id="first"), output_file="first.mp4"))
    await eventually(_exists(tmp_path / "c0.mp4"))
    (tmp_path / "notes").mkdir()
    other = make_job((5, 5), start=100, name="c{index}", extra=["--notes", str(tmp_path / "notes")], id="second")
    path = tmp_path / "second.json"
    write_job(tmp_path / "notes", other).rename(path)
    settings = {"output_file": "second.mp4", "concurrency": 2}
    state = await render_job(str(path), **settings, return_state=True)
    assert state.is_failed()
    assert "c0.mp4 and 1 more of this job's outputs are being written by the job 'first', run " in (state.message or "")
    (tmp_path / "gate" / "all").touch()
    state, _ = await first
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "first.mp4") == list(range(10))
    assert not (tmp_path / "second.mp4").exists()
    assert list((tmp_path / "notes").iterdir()) == []
    state = await render_job(str(path), **settings, return_state=True)
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "second.mp4") == list(range(100, 110))


def _exists(path: Path) -> Callable[[], Any]:
    async def exists() -> bool:
        return path.exists()

    return exists


def overwrite(chunk: Path, other: Path) -> None:
    """Write another video into the same file."""
    inode = chunk.stat().st_ino
    shutil.copyfile(other, chunk)
    assert chunk.stat().st_ino == inode


def replace(chunk: Path, other: Path) -> None:
    """Put another file in its place."""
    other.replace(chunk)


@pytest.mark.parametrize(
    ("change", "join"),
    [
        (overwrite, "stitch"),
        pytest.param(replace, "merge", marks=pytest.mark.slow),
        pytest.param(overwrite, "merge", marks=pytest.mark.slow),
        pytest.param(replace, "stitch", marks=pytest.mark.slow),
    ],
)
async def test_a_chunk_that_is_changed_before_the_join(
    tmp_path: Path, change: Callable[[Path, Path], None], join: str
) -> None:
    """With a changed chunk nothing is joined, and the error names the chunk; on resume it is rendered again."""
    joins = {"outputFile": "video.mp4"} if join == "stitch" else {"mergeCommand": MERGE}
    running = asyncio.create_task(render(tmp_path, job_that_waits(tmp_path, **joins)))
    await eventually(_exists(tmp_path / "c0.mp4"))
    change(tmp_path / "c0.mp4", write_clip(tmp_path / "other.mp4", Clip(), start=500, count=5))
    (tmp_path / "gate" / "all").touch()
    state, report = await running
    assert state.is_failed()
    assert f"chunk 0: {tmp_path}/c0.mp4 was changed since it was accepted" in (state.message or "")
    assert not (tmp_path / "video.mp4").exists()
    assert not (tmp_path / "merged").exists()
    assert leftovers(tmp_path) == []
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert [chunk.reused for chunk in report.chunks] == [False, True]
    if join == "stitch":
        assert read_numbers(tmp_path / "video.mp4") == list(range(10))
    else:
        assert (tmp_path / "merged").read_bytes() == b"".join((tmp_path / f"c{n}.mp4").read_bytes() for n in (0, 1))
    assert read_numbers(tmp_path / "c0.mp4") == list(range(5))


async def test_a_chunk_that_is_changed_while_the_merge_command_runs(tmp_path: Path) -> None:
    """What a merge command has made of chunks that were changed meanwhile is not the job's video."""
    job = make_job((5, 5), name="c{index}", mergeCommand="sh -c 'cat c0.mp4 c1.mp4 > merged; printf x >> c1.mp4'")
    state, _ = await render(tmp_path, job)
    assert state.is_failed()
    assert f"chunk 1: {tmp_path}/c1.mp4 was changed since it was accepted" in (state.message or "")


@pytest.mark.parametrize("kind", ["hard", "symbolic"])
async def test_an_output_that_is_a_link_is_copied(tmp_path: Path, kind: str) -> None:
    """An output that is a link is copied, so that later writes through the file's other name do not reach the chunk."""
    (tmp_path / "gate").mkdir()
    job = make_job((5, 5), name="c{index}", outputFile="video.mp4")
    waiting = job_that_waits(tmp_path)["chunks"][1]
    job["chunks"] = [make_job((5, 5), name="c{index}", extra=["--misbehave", f"link:{kind}"])["chunks"][0], waiting]
    path = write_job(tmp_path, job)
    flow: Any = render_job(str(path), concurrency=2, return_state=True)
    running = asyncio.ensure_future(flow)
    await eventually(_exists(tmp_path / "c0.mp4"))
    overwrite(tmp_path / "kept-0.mp4", write_clip(tmp_path / "other.mp4", Clip(), start=500, count=5))
    (tmp_path / "gate" / "all").touch()
    state = await running
    assert state.is_completed(), state.message
    assert (await report_of(state)).frames == 10
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))
    assert leftovers(tmp_path) == []


async def test_a_folder_that_is_swapped_for_a_link(tmp_path: Path) -> None:
    """A command that puts a link in the place of its output's folder writes nothing elsewhere: the job is refused."""
    folder, elsewhere = tmp_path / "job", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    job = make_job((5, 5), name="sub/c{index}", outputFile="video.mp4")
    words = shlex.split(job["chunks"][0]["command"])
    swap = f'"$@" && mv sub old && cp old/* {elsewhere}/ && ln -s {elsewhere} sub'
    job["chunks"][0]["command"] = shlex.join(["sh", "-c", swap, "swap", *words])
    job["chunks"] = job["chunks"][:1]
    job["metadata"]["totalFrames"] = 5
    state, _ = await render(folder, job, retries=0)
    assert state.is_failed()
    assert "sub is a link, and was expected to be a folder" in (state.message or "")
    (copied,) = elsewhere.iterdir()  # by the command itself: it was not renamed to the output
    assert "-attempt-" in copied.name


SWAP = "mv .helios old; ln -s {elsewhere} .helios"
LOG = "echo begun; until ls .helios/logs/*/chunk-0*; do sleep 0.05; done; for d in .helios/logs/*; do "
"""Prints, waits for the log of that, and does something in the folder of logs `$d`."""
ONCE = f'test -e once || {{ touch once; {LOG} %s "$d/chunk-0.attempt-2.log"; done; exit 3; }}; echo again; '
"""Fails at the first time, and has put something in the place of the second attempt's log."""
BESIDE = 'p="${5%.mp4}"; '
"""In the words after a command, the name of its output without the extension."""
LINKS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "the video, to a file": ("ln -s {elsewhere}/theirs video.mp4; ", "", {}, "Completed"),
    "the video, to a folder": ("", "ln -s {elsewhere} video.mp4", {"overwrite": True}, "Completed"),
    "the video, to nowhere": ("ln -s {elsewhere}/made video.mp4; ", "", {}, "Completed"),
    "the video's folder": ("", "mv sub old; ln -s {elsewhere} sub", {"output_file": "sub/video.mp4"}, "sub is a link"),
    ".helios": ("", f"{SWAP}; echo x", {}, ".helios is a link"),
    ".helios, before an audit": ("", SWAP, {"audit": 1.0}, "The audit failed"),
    ".helios, to nowhere": ("", "mv .helios old; ln -s {elsewhere}/made .helios", {}, "Completed"),
    ".helios, before a replaced video": (f"{SWAP}; echo x > video.mp4; ", "", {}, ".helios is a link"),
    "a log": (ONCE % "ln -s {elsewhere}/theirs", "", {"retries": 1}, "symbolic links"),
    "a log, by a hard link": (ONCE % "ln {elsewhere}/theirs", "", {"retries": 1}, "second name"),
    "a log, by a pipe": (ONCE % "mkfifo", "", {"retries": 1}, "Completed"),
    "a companion": ("", f"{BESIDE} ln -s {{elsewhere}}/theirs $p.wav; ln -s {{elsewhere}} $p-depth", {}, "Completed"),
    "in a companion's place": (
        "ln -s {elsewhere}/theirs c0.wav; ln -s {elsewhere} c0-depth; ", f"{BESIDE} touch $p.wav; mkdir $p-depth", {},
        "Completed",
    ),
    "a failed companion": (
        "ln -s {elsewhere} link; ", f"{BESIDE} mkdir $p-x; ln -s {{elsewhere}} $p-x/in; exit 3", {}, "Failed",
    ),
    "an audit's pictures": (
        f"{LOG} for k in accepted second; do ln -s {{elsewhere}}/theirs $d/chunk-0.audit-1-$k.png; done; done; ",
        "", {"audit": 1.0}, "The audit failed",
    ),
}  # fmt: skip
"""By what becomes a link: what a command does before its work, and after it, the request, and the run's end."""
FAST = {"the video, to a file", ".helios", "an audit's pictures"}


@pytest.mark.parametrize("what", [pytest.param(one, marks=[] if one in FAST else pytest.mark.slow) for one in LINKS])
async def test_nothing_is_written_behind_a_link(tmp_path: Path, what: str) -> None:
    """Whatever a command makes a link of, what the run writes and removes stays in the job directory."""
    folder, elsewhere = tmp_path / "job", tmp_path / "elsewhere"
    (folder / "sub").mkdir(parents=True)
    (elsewhere / "logs").mkdir(parents=True)
    for theirs in (elsewhere / "theirs", elsewhere / "logs" / "theirs"):
        theirs.write_text("safe")
    before, after, asked, ends = LINKS[what]
    job = make_job((5, 5), name="c{index}", outputFile="video.mp4")
    if "audit" in asked:
        job = moving_job("--fault", "clock", "--only", "0", frames=8, chunks=2)
    words = shlex.split(job["chunks"][0]["command"])
    line = f'{before}"$@" && {{ {after or ":"}; }}'.replace("{elsewhere}", str(elsewhere))
    job["chunks"][0]["command"] = shlex.join(["sh", "-c", line, "link", *words])
    state, _ = await render(folder, job, **asked)
    assert ends in f"{state.name}: {state.message}"
    assert {path: path.read_text() for path in elsewhere.rglob("*") if path.is_file()} == dict.fromkeys(
        (elsewhere / "theirs", elsewhere / "logs" / "theirs"), "safe"
    )
    assert sorted(os.listdir(elsewhere)) == ["logs", "theirs"]
    is_there = any(path.is_symlink() or path.is_fifo() for path in folder.rglob("*"))
    assert is_there or "overwrite" in asked or (elsewhere / "theirs").stat().st_nlink == 2, "it was not tried"
    assert leftovers(folder) == []


async def test_outputs_that_would_replace_what_is_read(tmp_path: Path) -> None:
    """An output with the document's name, and a .helios that is a link, are refused before anything runs."""
    job = make_job((5,), name="c{index}")
    job["chunks"][0]["outputFile"] = "job.json"
    job["chunks"][0]["command"] += " job.json"
    before = write_job(tmp_path, job).read_bytes()
    state = await render_job(str(tmp_path / "job.json"), return_state=True)
    assert "job.json is the job document" in (state.message or "")
    assert (tmp_path / "job.json").read_bytes() == before
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".helios").symlink_to("elsewhere")
    write_job(tmp_path, make_job((5,)))
    state = await render_job(str(tmp_path / "job.json"), return_state=True)
    assert "own files would be written there" in (state.message or "")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [pytest.param("request", marks=pytest.mark.slow), pytest.param("rehearsal", marks=pytest.mark.slow), "join"],
)
async def test_a_sound_file_without_end(tmp_path: Path, moment: str) -> None:
    """A run that reads a sparse sound file of 400 GB ends when it is cancelled, and leaves no reader and no file."""
    sound, job = tmp_path / "sound.mp3", make_job((5, 5), name="c{index}")
    if moment == "request":
        sound.touch()
        os.truncate(sound, 400 * 10**9)
    else:
        _write_mp3(sound)
        _take_the_end(sound, job["chunks"][0 if moment == "rehearsal" else 1])
    path = write_job(tmp_path, job)
    asked = {"job": str(path), "audio_file": str(sound), "output_file": "video.mp4", "concurrency": 1}
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=asked, state=Pending())
        running = asyncio.create_task(start_flow(run, run.parameters))
        await eventually(lambda: _is_read(sound))
        running.cancel()
        await asyncio.wait([running])
    assert not await _is_read(sound)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "video.mp4").exists()


@pytest.mark.slow
def test_sigterm_while_a_video_is_joined(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A command that is told to end while it joins ends, and leaves no process and no file; the job can be resumed."""
    sound, job = tmp_path / "sound.mp3", make_job((5, 5), name="c{index}", id=f"joined {tmp_path}")
    _write_mp3(sound)
    _take_the_end(sound, job["chunks"][1])
    words = ("run", write_job(tmp_path, job), "--audio", sound, "--output", "video.mp4", "--concurrency", "1")
    running = start_helios_job(*words)
    until(lambda: running.poll() is not None or _reads(psutil.Process(running.pid), sound))
    assert running.poll() is None, running.communicate()
    running.terminate()
    out, errors = running.communicate(timeout=120)
    assert running.returncode not in {0, None}, out + errors
    until(lambda: not processes_of(tmp_path))
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "video.mp4").exists()
    _write_mp3(sound)
    done = helios_job(*words)
    assert done.returncode == 0, done.stderr
    assert "2 chunks were accepted by an earlier run" in done.stdout + done.stderr
    assert read_numbers(tmp_path / "video.mp4") == list(range(10))


def _take_the_end(sound: Path, chunk: dict[str, Any]) -> None:
    """Have a chunk's command make a sound file one of 400 GB, after its work."""
    swap = f'"$@" && truncate -s 0 {sound} && truncate -s 400000000000 {sound}'
    chunk["command"] = shlex.join(["sh", "-c", swap, "swap", *shlex.split(chunk["command"])])


def _write_mp3(path: Path) -> None:
    """A second of silence: 42 empty frames of 417 bytes (MPEG-1, layer III, 128 kbit/s)."""
    path.write_bytes(42 * (bytes.fromhex("fffb9000") + bytes(413)))


async def _is_read(path: Path) -> bool:
    """Whether a process below this one, and not this one, has a file open that is 400 GB long."""
    return _reads(psutil.Process(), path)


def _reads(process: psutil.Process, path: Path) -> bool:
    if path.stat().st_size < 10**9:
        return False
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            if str(path) in {file.path for file in child.open_files()}:
                return True
    return False


KILLS = """
import os, sys
from pathlib import Path
import psutil
try:
    Path("once").touch(exist_ok=False)
except FileExistsError:
    sys.exit()
OURS = "reader_process", "guardian_process"
while True:
    found = psutil.Process(int(sys.argv[1])).children(recursive=True)
    found = {p: str(p.cmdline()) for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}
    found = {p: name for p, name in found.items() if any(our in name for our in OURS)}
    if all(any(our in name for name in found.values()) for our in OURS):
        break
Path("killed").write_text(" ".join(str(p.pid) for p in found))
for process in found:
    process.kill()
"""


async def test_a_command_that_kills_what_reads_and_guards(tmp_path: Path) -> None:
    """A command that kills readers, wardens and guardian costs attempts; the video is right, and nothing is left."""
    job = make_job((5, 5, 5), name="c{index}", outputFile="video.mp4")
    (tmp_path / "kills.py").write_text(KILLS)
    command = shlex.split(job["chunks"][1]["command"])
    kills = f'{sys.executable} kills.py {os.getpid()}; exec "$@"'
    job["chunks"][1]["command"] = shlex.join(["sh", "-c", kills, "kills", *command])
    state, _ = await render(tmp_path, job, environment_retries=5, retries=3)
    assert len((tmp_path / "killed").read_text().split()) >= 2
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))
    assert leftovers(tmp_path) == []
    await eventually(_nothing_of(tmp_path))


def _nothing_of(folder: Path) -> Callable[[], Any]:
    async def nothing() -> bool:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd() == str(folder):
                    return False
        return True

    return nothing
