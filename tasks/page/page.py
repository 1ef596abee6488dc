"""The page of a run in Prefect's UI, kept up to date: its progress, its chunks, its timeline, its pictures.

Four artifacts, one more where pictures are suspicious, and one more with an audit; each is changed in place, so that
their number does not grow. They are small, drawn and written at most every two seconds and at most a two-hundredth of
the time, whatever the job's size. Rendering does not depend on them: while Prefect's API can't be reached, they stay
behind.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from helios.models.pictures import PictureFinding
from helios.models.report import ChunkResult
from tasks.page.artifact import RunArtifact
from tasks.page.contents import (
    Content,
    audit_content,
    chunks_content,
    draw_findings,
    draw_newest,
    draw_sheet,
    list_findings,
    newest_chunk,
    newest_content,
    progress_content,
    timeline_content,
    video_content,
    warnings_content,
)
from tasks.prefect_api.api import RunApi
from tasks.prefect_api.one_try import one_try
from tasks.run.run import Run

PROGRESS, CHUNKS, TIMELINE, VIDEO = "render-progress", "render-chunks", "render-timeline", "render-video"
WARNINGS, AUDIT = "render-warnings", "render-audit"
"""The artifacts' keys."""
WRITE_SECONDS = 2.0
"""Between two writes of an artifact at least, however many chunks finish."""
SHARE = 1 / 200
"""The share of the time that goes into drawing and writing at most, since commands on this machine need the CPU …"""
LONGEST_PAUSE_SECONDS = 20.0
"""… but no pause is longer than this."""
LAST_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Between the tries to write the last contents."""


@asynccontextmanager
async def keep_page_updated(run: Run, api: RunApi) -> AsyncIterator["RunPage"]:
    """Keep a run's page up to date within the block, and write it once more at its end."""
    page, over = RunPage(run, api), asyncio.Event()
    # Not cancelled: an artifact that is made in that moment would be made again.
    writer = asyncio.create_task(page.follow(over))
    try:
        yield page
    finally:
        over.set()
        await writer
        await page.finish()


class RunPage:
    """The artifacts of one run.

    Args:
        run: The run.
        api: Prefect's API; its log says, at debug level, what can't be written.
    """

    def __init__(self, run: Run, api: RunApi) -> None:
        self._run = run
        self._api = api
        self._progress = self._artifact(PROGRESS, "progress")
        self._others: list[tuple[RunArtifact, Callable[[float], Content]]] = [
            (self._artifact(CHUNKS, "table"), lambda now: chunks_content(run, now)),
            (self._artifact(TIMELINE, "markdown"), lambda now: timeline_content(run, now, is_over=self._is_over)),
            (self._artifact(VIDEO, "markdown"), lambda _now: self._draw_video()),
            (self._artifact(WARNINGS, "markdown"), lambda _now: self._draw_warnings()),
            (self._artifact(AUDIT, "markdown"), lambda _now: audit_content(run.ledger.audits)),
        ]
        self._still: tuple[ChunkResult, bytes | None] | None = None
        self._findings: list[PictureFinding] = []
        self._compared: dict[PictureFinding, bytes] = {}
        self._sheet: asyncio.Task[bytes | None] | None = None
        self._is_over = False

    def begin_sheet(self) -> None:
        """Draw the contact sheet, beside the join: all chunks are there."""
        self._sheet = asyncio.create_task(draw_sheet(self._run.identity.job, self._run.ledger))

    async def follow(self, over: asyncio.Event) -> None:
        """Write what has changed, until `over` is set."""
        await self._adopt()
        due = 0.0
        # Not at once: the first chunks are asking for their slots, and SQLite has one writer at a time.
        while not await _is_set_within(over, WRITE_SECONDS):
            started = time.monotonic()
            await self._progress.write(progress_content(self._run.progress.now))
            if started >= due:
                for artifact, content in await self._draw():
                    await artifact.write(content)
                due = started + min((time.monotonic() - started) / SHARE, LONGEST_PAUSE_SECONDS)

    async def finish(self) -> None:
        """Write everything as it is at the end; several times where the server is busy, since nothing follows."""
        self._is_over = True
        if self._sheet is not None:
            if self._run.ledger.video is None:
                self._sheet.cancel()
            await asyncio.wait([self._sheet])
        left = [(self._progress, progress_content(self._run.progress.now)), *await self._draw()]
        for pause in (*LAST_PAUSES_SECONDS, 0.0):
            are_written = await asyncio.gather(*(artifact.write(content) for artifact, content in left))
            left = [one for one, is_written in zip(left, are_written, strict=True) if not is_written]
            if not left:
                return
            await asyncio.sleep(pause)

    def _artifact(self, key: str, kind: str) -> RunArtifact:
        return RunArtifact(key, kind, run_id=UUID(self._run.identity.run_id), api=self._api)

    async def _adopt(self) -> None:
        """Go on with the artifacts of a run that is resumed."""
        if self._run.identity.is_first:
            return
        own = {artifact.key: artifact for artifact in (self._progress, *(artifact for artifact, _ in self._others))}
        wanted = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(self._run.identity.run_id)]),
            key=ArtifactFilterKey(any_=list(own)),
        )
        with suppress(Exception), one_try():
            for found in await self._api.client.read_artifacts(artifact_filter=wanted):
                if found.key in own:
                    own[found.key].adopt(found.id)

    async def _draw(self) -> list[tuple[RunArtifact, Content]]:
        """The current contents of the other artifacts."""
        await self._read_pictures()
        drawn = []
        for artifact, draw in self._others:
            try:
                content = await asyncio.to_thread(draw, self._run.progress.seconds)
            except (OSError, ValueError) as exc:  # a file for a picture was removed meanwhile
                self._api.log.debug("%s could not be drawn: %s", artifact.key, exc)
                continue
            if content:
                drawn.append((artifact, content))
        return drawn

    async def _read_pictures(self) -> None:
        """Have the pictures made that are shown: of files that may be hostile, in processes that can be ended."""
        job, ledger = self._run.identity.job, self._run.ledger
        newest = None if self._is_over and ledger.video is not None else newest_chunk(ledger)
        if newest is not None and (self._still is None or self._still[0] is not newest):
            self._still = newest, await draw_newest(job, newest)
        # At the end alone: what one chunk has, and no other, is known when all are there.
        if self._is_over and (findings := list_findings(ledger)):
            self._findings, self._compared = findings, await draw_findings(job, ledger, findings)

    def _draw_video(self) -> Content:
        video = self._run.ledger.video
        if self._is_over and video is not None:
            return video_content(self._run, video, self._sheet.result() if self._sheet is not None else None)
        newest, picture = self._still or (None, None)
        return newest_content(self._run, newest, picture) if newest is not None and picture is not None else {}

    def _draw_warnings(self) -> Content:
        return warnings_content(self._findings, self._compared) if self._findings else {}


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
