"""A job can be watched while it renders: its playlist grows by the chunks before which all are accepted."""

import asyncio
import os
import re
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest

from helios.models.explained import explain_report
from helios.models.report import RunState
from helios.models.spec import JobSpec
from tasks.run.preview import FOLDER, WATCHED
from tasks.run.record_keys import job_key
from testbed.jobs import make_job
from testbed.video import read_frames
from tests.flows.test_run_page import logged
from tests.running import eventually, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


def playlist_of(folder: Path) -> Path:
    """The only playlist below a job directory."""
    (found,) = (folder / FOLDER).glob("*/video.m3u8")
    return found


def frames_in(playlist: Path) -> list[tuple[int, Fraction]]:
    """The frames that a player sees."""
    with av.open(str(playlist), "r") as media:
        first = media.streams.video[0].start_time or 0
        assert first == 0
    return read_frames(playlist)


async def test_a_playlist_of_a_whole_job(tmp_path: Path) -> None:
    """At the end the playlist has every frame once, at its time, is VOD, and says that nothing follows."""
    state, report = await render(tmp_path, make_job((4, 6, 5), outputFile="video.mp4"))
    assert state.is_completed(), state.message
    playlist = playlist_of(tmp_path)
    text = playlist.read_text()
    assert "#EXT-X-PLAYLIST-TYPE:VOD\n" in text
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert [float(one) for one in re.findall("#EXTINF:([0-9.]+)", text)] == pytest.approx(
        [4 / 30, 0.2, 5 / 30], abs=1e-6
    )
    assert frames_in(playlist) == read_frames(Path(report.output or ""))


async def test_it_grows_by_leading_chunks(tmp_path: Path) -> None:
    """A chunk in the middle that waits holds back those behind it; then all of them follow at once."""
    (tmp_path / "gates").mkdir()
    job = make_job((4, 4, 4, 4), extra=["--misbehave", f"until:{tmp_path / 'gates'}", "--only", "4"])
    work = asyncio.create_task(render(tmp_path, job, concurrency=3))

    async def has(count: int) -> bool:
        found = list((tmp_path / FOLDER).glob("*/video.m3u8"))
        accepted = list((tmp_path / FOLDER).glob("*/accepted"))
        return bool(found and len(accepted[0].read_text().splitlines()) == count)

    await eventually(lambda: has(3))
    playlist = playlist_of(tmp_path)
    assert playlist.read_text().count("#EXTINF") == 1
    assert "#EXT-X-PLAYLIST-TYPE:EVENT\n" in playlist.read_text()
    before = playlist.read_bytes()
    (tmp_path / "gates" / "4").touch()
    await work
    text = playlist.read_text()
    assert text.count("#EXTINF") == 4
    assert text.replace("VOD", "EVENT").encode().startswith(before)


async def test_a_resumed_run(tmp_path: Path) -> None:
    """Chunks that were accepted before the run was stopped are in the playlist of the run that goes on."""
    job = make_job((4, 4, 4), extra=["--misbehave", "fail-times:1", "--only", "8"])
    state, report = await render(tmp_path, job, concurrency=1)
    assert state.is_failed()
    assert playlist_of(tmp_path).read_text().count("#EXTINF") == 2
    assert playlist_of(tmp_path).read_text().endswith("#EXT-X-ENDLIST\n")
    state, report = await resume(report)
    assert report.state is RunState.COMPLETED
    assert sum(chunk.reused for chunk in report.chunks) == 2
    assert [number for number, _ in frames_in(playlist_of(tmp_path))] == list(range(12))


async def test_a_codec_that_players_do_not_take(tmp_path: Path) -> None:
    """A job in MPEG-4 Part 2 has no playlist; its log says so once, and the job is as well as any."""
    _, report = await render(tmp_path, make_job((3, 3), extra=["--misbehave", "codec"]))
    assert report.state is RunState.COMPLETED
    lines = await logged(report, "players take no mpeg4")
    assert len([line for line in lines if "watched" in line]) == 1
    assert not list((tmp_path / FOLDER).glob("*/video.m3u8"))


async def test_no_preview(tmp_path: Path) -> None:
    """A job that is not to be watched leaves nothing for it."""
    await render(tmp_path, make_job((3, 3)), preview=False)
    assert not (tmp_path / FOLDER).exists()


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """What goes wrong with the playlist is a warning: the job renders."""
    (tmp_path / FOLDER).parent.mkdir()
    (tmp_path / FOLDER).write_text("a file where the folder belongs")
    _, report = await render(tmp_path, make_job((3, 3)))
    assert report.state is RunState.COMPLETED
    assert len(await logged(report, "can't be watched any further")) > 0


async def test_leading_chunks_first_while_somebody_watches(tmp_path: Path) -> None:
    """While a player touches its file, chunks begin in the order of the video; else the longest first."""
    (tmp_path / "notes").mkdir()
    job = make_job((2, 3, 4, 5), id=f"seen {tmp_path}", extra=["--notes", str(tmp_path / "notes")])
    folder = tmp_path / FOLDER / job_key(JobSpec.model_validate(job), "")
    folder.mkdir(parents=True)
    (folder / WATCHED).touch()
    os.utime(folder / WATCHED, (time.time() + 3600,) * 2)  # however long the test takes
    _, report = await render(tmp_path, job, concurrency=1)
    begun = sorted((tmp_path / "notes").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name.split("-")[0] for path in begun] == ["0", "2", "5", "9"]
    assert report.watched == 4
    assert "4 chunks were begun in the order of the video" in "\n".join(explain_report(report))
    (folder / WATCHED).unlink()
    _, report = await render(tmp_path, job, concurrency=1, fresh=True)
    assert report.watched == 0
