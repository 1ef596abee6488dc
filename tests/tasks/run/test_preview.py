"""In which order segments are written, and what becomes of one whose chunk is rejected."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from helios.models.report import ChunkResult
from helios.models.worker import Artifact
from helios.storage.digest import hash_file
from tasks.request.prepare import prepare
from tasks.request.request import RenderRequest
from tasks.run.identity import RunIdentity
from tasks.run.ledger import Ledger
from tasks.run.preview import FOLDER, PLAYLIST, Preview
from tasks.run.progress import ProgressTracker
from testbed.jobs import make_job
from testbed.video import Clip, read_frames, write_clip
from tests.running import eventually

LOG = logging.getLogger("tests.preview")


class Rendered:
    """A run whose chunks a test accepts by hand."""

    def __init__(self, folder: Path) -> None:
        job = prepare(RenderRequest(make_job([4, 3, 5]), job_dir=str(folder)))
        identity = RunIdentity(job, run_id=str(uuid4()), key="film", token="t")
        self.progress = ProgressTracker(12, 3)
        self.ledger = Ledger(identity, self.progress)
        self.preview = Preview(identity, self.ledger, self.progress, LOG)
        self.playlist = folder / FOLDER / "film" / PLAYLIST
        self._folder = folder

    def render(self, number: int, *, shown: int | None = None) -> ChunkResult:
        """Accept a chunk whose frames show their own numbers, or those from `shown` on."""
        record = self.ledger.records[number]
        first = record.chunk.start_frame if shown is None else shown
        path = write_clip(self._folder / record.chunk.output_file, Clip(), start=first, count=record.chunk.frame_count)
        digest, size = hash_file(path)
        record.result = ChunkResult(
            chunk_id=number, artifact=Artifact(url=path.as_uri(), bytes=size, sha256=digest), codec="h264",
            frames=record.chunk.frame_count, attempt=1, run_id="run", adapter="local", render_ms=1, verify_ms=1,
        )  # fmt: skip
        return record.result

    def add(self, number: int, *, shown: int | None = None) -> None:
        """Accept a chunk, and tell the preview."""
        self.preview.add(self.ledger.records[number].chunk, self.render(number, shown=shown))

    def listed(self) -> int:
        """Segments in the playlist."""
        return self.playlist.read_text().count("#EXTINF") if self.playlist.exists() else 0

    async def until_listed(self, count: int) -> None:
        """Wait until the playlist has so many."""

        async def has() -> bool:
            return self.listed() == count

        await eventually(has)

    def numbers(self) -> list[int]:
        """The numbers of the frames that a player sees."""
        return [number for number, _ in read_frames(self.playlist)]


@asynccontextmanager
async def rendered(folder: Path) -> AsyncIterator[Rendered]:
    """A run, within the block; its playlist is ended then."""
    run = Rendered(folder)
    async with run.preview.kept():
        yield run
        await run.preview.finish()


async def test_segments_wait_for_those_before_them(tmp_path: Path) -> None:
    """Chunks that are accepted from behind are in the playlist in the order of the video, once the first is there."""
    async with rendered(tmp_path) as run:
        run.add(2)
        run.add(1)
        await asyncio.sleep(0)
        assert run.listed() == 0
        run.add(0)
        await run.until_listed(3)
        assert "EVENT" in run.playlist.read_text()
        assert run.progress.now.playlist == str(run.playlist)
    assert run.numbers() == list(range(12))
    assert run.playlist.read_text().endswith("#EXT-X-ENDLIST\n")


async def test_a_chunk_that_is_rejected_after_it_was_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its segment is written again under its name, and the playlist stays as it is; the log says so."""
    caplog.set_level(logging.INFO)
    async with rendered(tmp_path) as run:
        run.add(0, shown=100)
        await run.until_listed(1)
        assert run.numbers() == [100, 101, 102, 103]
        before = run.playlist.read_text()
        run.ledger.records[0].result = None
        run.add(0)
        await run.preview.finish()
        assert run.playlist.read_text() == before
        run.add(1)
        await run.until_listed(2)
    assert run.numbers() == list(range(7))
    assert "segment of frame 0 was written again" in caplog.text


async def test_a_chunk_that_is_rejected_before_it_was_listed(tmp_path: Path) -> None:
    """The playlist waits for its other output, and then has those behind it as well."""
    async with rendered(tmp_path) as run:
        run.add(0)
        run.add(1, shown=100)
        run.add(2)
        run.ledger.records[1].result = None  # before the preview's own task had a turn
        await run.until_listed(1)
        await run.preview.finish()
        assert run.listed() == 1
        run.add(1)
        await run.until_listed(3)
    assert run.numbers() == list(range(12))


async def test_a_chunk_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A chunk that can't be read ends the playlist with a warning, and nothing else."""
    async with rendered(tmp_path) as run:
        run.add(0)
        await run.until_listed(1)
        result = run.render(1)
        result.path.unlink()
        run.preview.add(run.ledger.records[1].chunk, result)
        run.add(2)
        await run.preview.finish()
    assert run.numbers() == list(range(4))
    assert caplog.text.count("can't be watched any further") == 1


async def test_an_earlier_run_of_the_job(tmp_path: Path) -> None:
    """What an earlier run left is gone when another one begins."""
    async with rendered(tmp_path) as run:
        run.add(0)
        await run.until_listed(1)
    async with rendered(tmp_path) as run:
        assert not run.playlist.exists()
        assert not list(run.playlist.parent.glob("segment-*"))
