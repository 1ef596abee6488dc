"""What a person sees on a run's page in Prefect's UI: its progress, its chunks, its timeline, its pictures.

Four artifacts, each changed in place, so that a run has no more of them at its end than at its begin. They are small,
and drawn and written at most every two seconds and at most a two-hundredth of the time, whatever the job's size;
rendering does not depend on them: when Prefect's API can't be reached, they stay behind.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from helios.media.stills import contact_sheet, still
from helios.models.report import ChunkResult, OutputReport, RunState
from tasks.page.chunk_table import MOST_ROWS, chunk_table
from tasks.page.timeline import explain, slowest
from tasks.page.timeline_picture import draw_timeline
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.one_try import one_try
from tasks.run.progress import duration
from tasks.run.run import JobRun

PROGRESS, CHUNKS, TIMELINE, VIDEO = "render-progress", "render-chunks", "render-timeline", "render-video"
"""The artifacts' keys."""
WRITE_SECONDS = 2.0
"""At least this long between two writes of an artifact, however many chunks finish."""
SHARE = 1 / 200
"""At most this much of the time goes into drawing and writing, which commands on this machine would have had …"""
LONGEST_PAUSE_SECONDS = 20.0
"""… unless nothing new were to be seen for longer than this."""
LAST_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)
"""Between the tries to write what is to stay."""


@asynccontextmanager
async def published(run: JobRun, client: PrefectClient, logger: RunLogger) -> AsyncIterator["RunArtifacts"]:
    """Keep a run's artifacts up to date within the block, and write them once more at its end."""
    artifacts, over = RunArtifacts(run, client, logger), asyncio.Event()
    # Not cancelled: an artifact that is made in that moment would be made again.
    writer = asyncio.create_task(artifacts.follow(over))
    try:
        yield artifacts
    finally:
        over.set()
        await writer
        await artifacts.finish()


@dataclass
class _Artifact:
    """One artifact in Prefect, made when there is something to write."""

    key: str
    kind: str
    id: UUID | None = None
    written: Mapping[str, Any] = field(default_factory=dict)


class RunArtifacts:
    """The artifacts of one run.

    Args:
        run: The run.
        client: Prefect's.
        logger: Told when they can't be written.
    """

    def __init__(self, run: JobRun, client: PrefectClient, logger: RunLogger) -> None:
        self._run = run
        self._client = client
        self._logger = logger
        self._progress = _Artifact(PROGRESS, "progress")
        self._others: dict[str, tuple[_Artifact, Callable[[float], dict[str, Any]]]] = {
            CHUNKS: (_Artifact(CHUNKS, "table"), self._draw_chunks),
            TIMELINE: (_Artifact(TIMELINE, "markdown"), self._draw_timeline),
            VIDEO: (_Artifact(VIDEO, "markdown"), self._draw_video),
        }
        self._still: tuple[ChunkResult, bytes] | None = None
        self._sheet: asyncio.Task[bytes | None] | None = None
        self._is_over = False

    def begin_sheet(self) -> None:
        """Draw the contact sheet, beside the join: all chunks are there."""
        self._sheet = asyncio.create_task(asyncio.to_thread(_draw_sheet, self._run))

    async def follow(self, over: asyncio.Event) -> None:
        """Write what has changed, until it is over."""
        await self._adopt()
        due = 0.0
        # Not at once: the first chunks are asking for their slots, and SQLite has one writer at a time.
        while not await _is_set_within(over, WRITE_SECONDS):
            started = time.monotonic()
            await self._write(self._progress, self._describe_progress())
            if started >= due:
                for artifact, content in await self._draw():
                    await self._write(artifact, content)
                due = started + min((time.monotonic() - started) / SHARE, LONGEST_PAUSE_SECONDS)

    async def finish(self) -> None:
        """Write everything as it is at the end; again, where the server was busy, since nothing follows."""
        self._is_over = True
        if self._sheet is not None:
            await self._sheet
        left = [(self._progress, self._describe_progress()), *await self._draw()]
        for pause in (*LAST_PAUSES_SECONDS, 0.0):
            left = [(artifact, content) for artifact, content in left if not await self._write(artifact, content)]
            if not left:
                return
            await asyncio.sleep(pause)

    async def _adopt(self) -> None:
        """Go on with the artifacts of a run that is resumed."""
        if self._run.is_first:
            return
        of_run = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(self._run.run_id)]),
            key=ArtifactFilterKey(any_=[PROGRESS, CHUNKS, TIMELINE, VIDEO]),
        )
        own = {artifact.key: artifact for artifact in (self._progress, *(one for one, _ in self._others.values()))}
        with suppress(Exception), one_try():
            for found in await self._client.read_artifacts(artifact_filter=of_run):
                if found.key in own:
                    own[found.key].id = found.id

    def _describe_progress(self) -> dict[str, Any]:
        progress = self._run.progress
        return {"data": round(progress.percent, 2), "description": progress.description}

    async def _draw(self) -> list[tuple[_Artifact, dict[str, Any]]]:
        """What the other artifacts are to show now."""
        drawn = []
        for artifact, draw in self._others.values():
            try:
                content = await asyncio.to_thread(draw, self._run.progress.seconds)
            except (OSError, ValueError) as exc:  # a picture of a file that somebody has taken away meanwhile
                self._logger.debug("%s could not be drawn: %s", artifact.key, exc)
                continue
            if content:
                drawn.append((artifact, content))
        return drawn

    async def _write(self, artifact: _Artifact, content: Mapping[str, Any]) -> bool:
        """Send what has changed; say whether it is there. Not by Prefect's functions, which emit an event each time."""
        if content == artifact.written:
            return True
        try:
            with one_try():  # the next second is the retry
                if artifact.id is None:
                    artifact.id = await self._create(artifact, content)
                else:
                    await self._client.request(
                        "PATCH", "/artifacts/{id}", path_params={"id": artifact.id}, json=dict(content)
                    )
            artifact.written = content
        except Exception as exc:  # noqa: BLE001  whatever keeps a picture from being shown must not end a render
            self._logger.debug("%s could not be written: %s", artifact.key, exc)
            return False
        return True

    async def _create(self, artifact: _Artifact, content: Mapping[str, Any]) -> UUID:
        wanted = ArtifactCreate(
            key=artifact.key, type=artifact.kind, flow_run_id=UUID(self._run.run_id), **dict(content)
        )
        return (await self._client.create_artifact(wanted)).id

    def _draw_chunks(self, now: float) -> dict[str, Any]:
        count = len(self._run.records)
        shown = f"{MOST_ROWS} of {count} chunks: those in flight and in trouble first" if count > MOST_ROWS else ""
        return {"data": json.dumps(chunk_table(self._run, now)), "description": shown or f"{count} chunks"}

    def _draw_timeline(self, now: float) -> dict[str, Any]:
        picture = base64.b64encode(draw_timeline(self._run, now).encode()).decode()
        why = self._why(now)
        lines = [f"![What each chunk did when](data:image/svg+xml;base64,{picture})", "", *_listed(why)]
        if chunks := slowest(self._run, now):
            lines += ["", "| slowest chunks | seconds | attempts | why |", "|---|---|---|---|"]
            lines += [
                f"| {record.chunk.id} ({record.chunk.frames}) | {seconds:.1f} | {record.attempts} | {why} |"
                for record, seconds, why in chunks
            ]
        return {"data": "\n".join(lines), "description": f"What each chunk did when. {why[0]}"}

    def _why(self, now: float) -> list[str]:
        lines = explain(self._run, now)
        if self._is_over:
            lines[0] = lines[0].replace(" so far", " in all", 1)
        return lines

    def _draw_video(self, _now: float) -> dict[str, Any]:
        if self._is_over and (video := self._run.video) is not None:
            sheet = self._sheet.result() if self._sheet is not None else None
            return {"data": _describe_video(video, sheet), "description": video.path}
        newest = self._newest()
        if newest is None:
            return {}
        if self._still is None or self._still[0] is not newest:
            self._still = newest, still(newest.path)
        chunk = self._run.records[newest.chunk_id].chunk
        caption = f"Newest chunk: {chunk.id}, from frame {chunk.start_frame}"
        return {"data": _jpeg(self._still[1], caption), "description": caption}

    def _newest(self) -> ChunkResult | None:
        """The chunk that was accepted last."""
        found: tuple[float, ChunkResult] | None = None
        for record in self._run.records.values():
            if record.result is None or record.state is not RunState.COMPLETED:
                continue
            ended = record.times[-1].ended if record.times else record.reused_at
            if ended is not None and (found is None or ended > found[0]):
                found = ended, record.result
        return found[1] if found else None


def _draw_sheet(run: JobRun) -> bytes | None:
    paths: list[Path] = [record.result.path for record in run.records.values() if record.result]
    try:
        return contact_sheet(paths) if paths else None
    except (OSError, ValueError):
        return None  # somebody has taken the chunks away; the video is there


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _describe_video(video: OutputReport, sheet: bytes | None) -> str:
    rows = {
        "video": f"[{video.path}]({video.path})" if "://" in video.path else f"`{video.path}`",
        "frames": str(video.frames),
        "duration": f"{video.duration_seconds:.3f} s ({duration(video.duration_seconds)})",
        "sound": video.audio_codec or "none",
        "size": f"{video.bytes} bytes ({video.bytes / 1e6:.1f} MB)",
        "SHA-256": f"`{video.sha256}`",
    }
    lines = [f"{_jpeg(sheet, 'Frames of the video')}", ""] if sheet else []
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join([*lines, "", *_listed(video.warnings)])


def _jpeg(picture: bytes, caption: str) -> str:
    return f"![{caption}](data:image/jpeg;base64,{base64.b64encode(picture).decode()})"


def _listed(lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"- {line}" for line in lines]
