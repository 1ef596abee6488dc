"""Job documents for tests, whose commands run `testbed/programs/render.py`."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.prefect_home import SHARED

PROGRAM = Path(__file__).parent / "programs" / "render.py"
MOVING = Path(__file__).parent / "programs" / "moving.py"


def make_job(
    sizes: Sequence[int] = (10, 10, 10),
    *,
    start: int = 0,
    fps: float | str = 30,
    suffix: str = ".mp4",
    name: str = "chunk {index}",
    extra: Sequence[str] = (),
    **fields: Any,
) -> dict[str, Any]:
    """Make a job of consecutive chunks.

    Args:
        sizes: Frames of each chunk.
        start: First frame.
        fps: Frame rate, as in the document.
        suffix: Extension of the chunks' files.
        name: Name of the chunks' files.
        extra: Further words of every command.
        fields: Further fields of the document.
    """
    chunks, frame = [], start
    for index, count in enumerate(sizes):
        output = name.format(index=index) + suffix
        words = [str(frame), str(count), output, "--fps", str(fps), "--zero", str(start), *_shared(), *extra]
        chunks.append(
            {
                "id": index,
                "startFrame": frame,
                "frameCount": count,
                "outputFile": output,
                "command": shlex.join([sys.executable, str(PROGRAM), *words]),
            }
        )
        frame += count
    metadata = {"totalFrames": sum(sizes), "fps": fps, "width": 64, "height": 64, "duration": 1}
    return {"metadata": metadata, "chunks": chunks, **fields}


def template_job(frames: int, *words: str, lengths: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make a job with a template in place of chunks, whose commands run `testbed/programs/render.py`.

    Args:
        frames: Of the job.
        words: Further words of every command.
        lengths: How long chunks are, and further fields of the template.
        fields: Further fields of the document.
    """
    command = [sys.executable, str(PROGRAM), "{start}", "{count}", "{output}", "--fps", "30", *_shared(), *words]
    template = {"command": shlex.join(command), "outputFile": "chunk {index}.mp4", **lengths}
    metadata = {"totalFrames": frames, "fps": 30, "width": 64, "height": 64, "duration": 1}
    return {"metadata": metadata, "template": template, "outputFile": "video.mp4", **fields}


def moving_job(*words: str, frames: int = 16, chunks: int = 4, **fields: Any) -> dict[str, Any]:
    """Make a job of chunks with moving pictures, whose commands run `testbed/programs/moving.py` with these words."""
    job = make_job([frames] * chunks, **{"outputFile": "video.mp4"} | fields)
    job["metadata"] |= {"width": 320, "height": 180}
    for chunk in job["chunks"]:
        command = [str(chunk["startFrame"]), str(frames), chunk["outputFile"], *_shared(), *words]
        chunk["command"] = shlex.join([sys.executable, str(MOVING), *command])
    return job


def _shared() -> list[str]:
    return ["--shared", os.environ[SHARED]] if SHARED in os.environ else []


def write_job(folder: Path, job: dict[str, Any]) -> Path:
    """Write a document as `job.json` into a folder."""
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return path
