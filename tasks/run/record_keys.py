"""The names of a job and of its chunks in Prefect's result storage; see `tasks.run.accepted` for the layout."""

import hashlib
import json
import re

from helios.models.spec import JobSpec, RenderJobChunk

FOLDER = "helios-render"
"""Holds all records, in Prefect's result storage."""


def job_key(spec: JobSpec, run_id: str) -> str:
    """The name of a job in records: the same for all its runs, and fit for a file's name."""
    name = spec.id or f"run {run_id}"
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "job"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def document_key(job: str) -> str:
    """Where the document is kept from which a job's outputs were rendered; `job` is `job_key`."""
    return f"{FOLDER}/{job}/document"


def inputs_key(job: str, list_key: str) -> str:
    """Where a list of inputs is kept; `job` is `job_key`."""
    return f"{FOLDER}/{job}/inputs-{list_key}"


def report_key(run_id: str) -> str:
    """Where the report of a run is kept that did not complete."""
    return f"{FOLDER}/reports/{run_id}"


def timings_key(job: str) -> str:
    """Where is kept how long a job's chunks took; `job` is `job_key`."""
    return f"{FOLDER}/{job}/timings"


def spending_key(job: str, run_id: str) -> str:
    """Where is kept what a run has spent; `job` is `job_key`."""
    return f"{FOLDER}/{job}/spending-{run_id}"


def cuts_key(job: str, number: int) -> str:
    """Where a part of the list of a job's cuts is kept, counted from 0; `job` is `job_key`."""
    return f"{FOLDER}/{job}/cuts-{number}"


def images_key(spec: JobSpec, job: str, chunk: RenderJobChunk) -> str:
    """Where the images of a chunk are kept that were accepted before all of them were; arguments as `chunk_key`."""
    folder, _, name = chunk_key(spec, job, chunk).rpartition("/chunk-")
    return f"{folder}/images-{name}"


def chunk_key(spec: JobSpec, job: str, chunk: RenderJobChunk) -> str:
    """Where the result of a chunk's task is kept; another place for another command, other frames or pictures.

    Args:
        spec: The job document.
        job: `job_key`.
        chunk: One of the document's.
    """
    metadata = spec.metadata
    pictures = [str(metadata.fps), metadata.width, metadata.height, spec.assets_url]
    order = [chunk.command, chunk.start_frame, chunk.frame_count, chunk.output_file]
    fingerprint = hashlib.sha256(json.dumps([*pictures, *order]).encode()).hexdigest()[:16]
    return f"{FOLDER}/{job}/chunk-{chunk.id}-{fingerprint}"
