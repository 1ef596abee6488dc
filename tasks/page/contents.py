"""What the artifacts of a run show: functions from the run to data and description, as Prefect's API takes them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helios.errors import HeliosError
from helios.media.bounds import PICTURE_SECONDS, SHEET_SECONDS, within
from helios.media.stills import contact_sheet, side_by_side, still
from helios.models.audit import AuditVerdict
from helios.models.pictures import PictureFinding
from helios.models.report import ChunkResult, OutputReport, RunState
from helios.models.report_text import duration
from helios.models.spec import RenderJobChunk
from helios.processes.reader import run_apart
from tasks.page.chunk_table import MOST_ROWS, chunk_table
from tasks.page.progress_text import describe
from tasks.page.timeline import explain, slowest
from tasks.page.timeline_picture import draw_timeline
from tasks.request.prepare import PreparedJob
from tasks.run.audits import Audits
from tasks.run.ledger import Ledger
from tasks.run.progress import Progress
from tasks.run.run import Run

MOST_FINDINGS, MOST_PAIRS = 50, 6
"""Findings in the pictures that are shown, and how many of them with their two frames: 20 to 80 kB each."""
_AUDIT_RANKS = (AuditVerdict.DIFFERENT, AuditVerdict.FAILED, AuditVerdict.PENDING, AuditVerdict.PASSED)
Content = dict[str, Any]
"""`data` and `description`; for the progress also `metadata_`, which has the numbers."""


def progress_content(progress: Progress) -> Content:
    """The share that is rendered, a sentence for people, and the numbers for programs."""
    return {
        "data": round(progress.percent, 2),
        "description": describe(progress),
        "metadata_": progress.to_metadata(),
    }


def chunks_content(run: Run, now: float) -> Content:
    """The table of chunks."""
    count = len(run.ledger.records)
    shown = f"{MOST_ROWS} of {count} chunks: those in flight and in trouble first" if count > MOST_ROWS else ""
    rows = chunk_table(run.ledger, adapter=run.identity.job.places[0].adapter_name, now=now)
    return {"data": json.dumps(rows), "description": shown or f"{count} chunks"}


def timeline_content(run: Run, now: float, *, is_over: bool) -> Content:
    """The picture of what each chunk did when, and why the job takes as long as it does."""
    picture = base64.b64encode(draw_timeline(run, now).encode()).decode()
    reasons = explain(run, now, is_over=is_over)
    lines = [f"![What each chunk did when](data:image/svg+xml;base64,{picture})", "", *_listed(reasons)]
    if chunks := slowest(run, now):
        lines += ["", "| slowest chunks | seconds | attempts | why |", "|---|---|---|---|"]
        lines += [
            f"| {record.chunk.id} ({record.chunk.frames}) | {seconds:.1f} | {record.attempts} | {why} |"
            for record, seconds, why in chunks
        ]
    return {"data": "\n".join(lines), "description": f"What each chunk did when. {reasons[0]}"}


def newest_content(run: Run, newest: ChunkResult, picture: bytes) -> Content:
    """A picture of the chunk that was accepted last, and how to watch the video so far."""
    chunk = run.ledger.records[newest.chunk_id].chunk
    caption = f"Newest chunk: {chunk.id}, from frame {chunk.start_frame}"
    return {"data": "\n".join([_jpeg(picture, caption), *_how_to_watch(run)]), "description": caption}


def video_content(run: Run, video: OutputReport, sheet: bytes | None) -> Content:
    """The finished video: its contact sheet, what it is, and how to watch it."""
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
    return {"data": "\n".join([*lines, *_how_to_watch(run), "", *_listed(video.warnings)]), "description": video.path}


def _how_to_watch(run: Run) -> list[str]:
    progress = run.progress.now
    if not progress.playlist:
        return []
    command, place = f"`helios-job watch {run.identity.run_id}`", f"`{progress.playlist}` on {progress.host}"
    return ["", f"Watch it, also while it renders: {command}, on a machine that has {place}, which other players take."]


def warnings_content(findings: Sequence[PictureFinding], pictures: Mapping[PictureFinding, bytes]) -> Content:
    """What is wrong or suspicious in the job's pictures, each with the two frames to compare beside each other."""
    lines = []
    for finding in findings[:MOST_FINDINGS]:
        lines += [f"**{'Wrong' if finding.is_certain else 'Suspicious'}: {finding.kind.value}.** {finding.message}", ""]
        if finding in pictures:
            frames = sorted((finding.frame, finding.other_frame))
            lines += [_jpeg(pictures[finding], f"Frames {frames[0]} and {frames[1]}"), ""]
    if more := len(findings) - MOST_FINDINGS:
        lines += [f"… and {more} more: the run's report has all of them."] if more > 0 else []
    return {"data": "\n".join(lines), "description": f"{len(findings)} findings in the pictures"}


def audit_content(audits: Audits) -> Content:
    """The chunks that are rendered a second time, those that differ first, with their two pictures."""
    report = audits.report()
    if report is None:
        return {}
    ranked = sorted(report.chunks, key=lambda chunk: _AUDIT_RANKS.index(chunk.verdict))
    what = f"{len(ranked)} chunks are rendered twice (share {report.share:g}, seed {report.seed})"
    words = f"Audit: {report.verdict.value}. {what}"
    lines = [f"{words}; frames must reach {report.least_psnr:g} dB, and be equal where the codec is lossless.", ""]
    for chunk in [chunk for chunk in ranked if chunk.message][:MOST_FINDINGS]:
        lines += [
            f"**Chunk {chunk.chunk_id}: {chunk.verdict.value}.**",
            "",
            "```",
            (chunk.message or "").replace("```", "…"),
            "```",
            "",
        ]
        if (both := audits.records[chunk.chunk_id].both) is not None:
            lines += [_jpeg(both, f"Frame {chunk.frame}: as accepted, and the second time"), ""]
    lines += ["| chunk | verdict | lowest PSNR | frame | rendered by | then by |", "|---|---|---|---|---|---|"]
    for chunk in ranked[:MOST_ROWS]:
        psnr = f"{chunk.lowest_psnr:.1f} dB" if chunk.lowest_psnr is not None else ""
        psnr = psnr or ("equal" if chunk.verdict is AuditVerdict.PASSED else "")
        cells = (chunk.chunk_id, chunk.verdict.value, psnr, chunk.frame, chunk.rendered_by, chunk.rendered_again_by)
        lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    if more := len(ranked) - MOST_ROWS:
        lines += ["", f"… and {more} more: the run's report has all of them."] if more > 0 else []
    return {"data": "\n".join(lines), "description": words}


def list_findings(ledger: Ledger) -> list[PictureFinding]:
    """What is wrong in the pictures and could not be mended, then what is suspicious."""
    failed = [found for found in ledger.pictures.failures[-1:] if ledger.records[found.chunk_id].is_given_up]
    return [*failed, *ledger.warnings()]


async def draw_newest(job: PreparedJob, newest: ChunkResult) -> bytes | None:
    """A chunk's first frame, as a JPEG; None if it can't be read any more, or in time."""
    return await _drawn(still, newest.path, job=job, seconds=PICTURE_SECONDS)


async def draw_findings(
    job: PreparedJob, ledger: Ledger, findings: Sequence[PictureFinding]
) -> dict[PictureFinding, bytes]:
    """The two frames of each of the first findings, as a JPEG; without those that can't be read any more."""
    drawn = {}
    for finding in findings[:MOST_PAIRS]:
        frames = sorted(((finding.frame, finding.chunk_id), (finding.other_frame, finding.other_chunk_id)))
        places = [_place_of(job, ledger.records[chunk_id].chunk, frame) for frame, chunk_id in frames]
        if (picture := await _drawn(side_by_side, *places, job=job, seconds=SHEET_SECONDS)) is not None:
            drawn[finding] = picture
    return drawn


def _place_of(job: PreparedJob, chunk: RenderJobChunk, frame: int) -> tuple[Path, int]:
    """The file that has a frame, and the frame's index in it."""
    index, files = frame - chunk.start_frame, job.directory.outputs(chunk)
    return (files[0], index) if chunk.images is None else (files[index], 0)


def newest_chunk(ledger: Ledger) -> ChunkResult | None:
    """The chunk that was accepted last."""
    found: tuple[float, ChunkResult] | None = None
    for record in ledger.records.values():
        if record.result is None or record.state is not RunState.COMPLETED:
            continue
        ended = record.times[-1].ended if record.times else record.reused_at
        if ended is not None and (found is None or ended > found[0]):
            found = ended, record.result
    return found[1] if found else None


async def draw_sheet(job: PreparedJob, ledger: Ledger) -> bytes | None:
    """The contact sheet of all accepted chunks, as a JPEG; None if they can't be read any more, or in time."""
    paths: list[Path] = [record.result.path for record in ledger.ordered if record.result]
    return await _drawn(contact_sheet, paths, job=job, seconds=SHEET_SECONDS) if paths else None


async def _drawn(draw: Callable[..., bytes], *args: Any, job: PreparedJob, seconds: float) -> bytes | None:
    bounds = within(seconds, width=job.spec.metadata.width, height=job.spec.metadata.height)
    try:
        return await run_apart(draw, *args, bounds=bounds, name="a chunk")
    except (HeliosError, OSError, ValueError):
        return None  # the chunks were removed meanwhile, or take too much: rendering does not depend on pictures


def _jpeg(picture: bytes, caption: str) -> str:
    return f"![{caption}](data:image/jpeg;base64,{base64.b64encode(picture).decode()})"


def _listed(lines: list[str] | tuple[str, ...]) -> list[str]:
    return [f"- {line}" for line in lines]
