"""The SPEC argument of the commands: a path, a URL, or - for standard input."""

import os
import sys
from typing import Any

from helios.job.source import MAX_DOCUMENT_BYTES, is_url, parse_job_spec
from helios.models.spec import JobSpec
from helios.storage.urls import is_storage_url


def read_job(spec: str) -> str | dict[str, Any]:
    """Make SPEC into what the flow takes: an absolute path, a URL, or the document read from standard input.

    Raises:
        SpecError: What came from standard input is not a sound job.
    """
    if spec == "-":
        document: JobSpec = parse_job_spec(sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1), source="standard input")
        return document.to_document()
    return located(spec)


def located(place: str) -> str:
    """A URL as it is, a path made absolute: the flow's own directory may be another."""
    return place if is_url(place) or is_storage_url(place) else os.path.abspath(place)
