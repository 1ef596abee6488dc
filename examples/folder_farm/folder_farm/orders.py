"""The protocol between adapter and workers: files in the shared folder.

orders/ID.json      an order that waits; a worker takes it by renaming it
taken/ID.json       an order that a worker works on, which touches it all the time; who removes it calls the order off
answers/ID.json     how the order ended
"""

import json
import os
from pathlib import Path
from typing import Any

from helios import HeliosError, WorkerJob, WorkerResult

FOLDERS = ("orders", "taken", "answers")
POLL_SECONDS = 0.1
SILENCE_SECONDS = 15.0
"""A worker that has not touched its order for so long is taken for dead."""


def prepare(folder: Path) -> None:
    """Make the folders."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document so that it appears whole."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document))
    os.replace(temporary, path)


def read_order(path: Path) -> WorkerJob:
    """Read an order."""
    return WorkerJob.model_validate_json(path.read_text())


def answer_of(result: WorkerResult | HeliosError, lines: list[tuple[str, str]]) -> dict[str, Any]:
    """Describe how a job ended, as a document."""
    if isinstance(result, WorkerResult):
        return {"result": result.model_dump(mode="json"), "lines": lines}
    return {"error": result.failure, "message": str(result), "lines": lines}
