"""The bounds of a request's numbers and texts, for every way in: options, forms, schedules, the Python API.

The options and the form state the same, and are asked for less often: `nan` and `inf` pass an option's own bounds, and
the API has no options.
"""

from typing import Any

from helios.bounded_json import MAX_INTEGER
from helios.errors import RequestError
from helios.models.frame_numbers import MAX_CHUNKS, MAX_SECONDS
from helios.models.paths import MAX_PATH
from helios.web_urls import MAX_URL
from tasks.request.parameters import PARAMETERS

_NUMBERS: dict[str, tuple[float, float]] = {
    "concurrency": (1, 10_000),
    "retries": (0, 100),
    "retry_delay_seconds": (0, 3600),
    "environment_retries": (0, 1000),
    "max_failed_chunks": (0, MAX_CHUNKS),
    "chunk_timeout_seconds": (1e-3, MAX_SECONDS),
    "stall_timeout_seconds": (1e-3, MAX_SECONDS),
    "overdue_seconds": (1e-3, MAX_SECONDS),
    "hand_overs": (0, 100),
    "hedge": (0, 1),
    "budget": (1e-9, 1e12),
}
_TEXTS = {
    "job": MAX_URL,
    "job_dir": MAX_PATH,
    "output_file": MAX_URL,
    "images_to": MAX_URL,
    "audio_file": MAX_PATH,
    "webhook": MAX_URL,
    "webhook_secret": 1000,
    "cache": MAX_URL,
    "cache_size": 100,
    "deadline": 100,
}
"""Characters."""


def check_extent(request: Any) -> None:
    """Refuse numbers and texts beyond their bounds, before anything is computed with them.

    Args:
        request: A `RenderRequest`.

    Raises:
        RequestError: Says which, and the bounds.
    """
    for name, (least, most) in _NUMBERS.items():
        value = getattr(request, name)
        if value is not None and not least <= value <= most:  # also refuses what is not a number
            raise RequestError(f"{_name(name)} is {_shown(value)}; expected {least:.12g} to {most:.12g}")
    for name, longest in _TEXTS.items():
        value = getattr(request, name)
        if isinstance(value, str) and len(value) > longest:
            raise RequestError(f"{_name(name)} has {len(value)} characters; expected at most {longest}")
    if request.chunks is not None and len(request.chunks) > MAX_CHUNKS:
        raise RequestError(f"{len(request.chunks)} chunks are named (--chunk); expected at most {MAX_CHUNKS}")


def _name(parameter: str) -> str:
    option = PARAMETERS[parameter].option
    return f"{parameter} ({option})" if option else parameter


def _shown(value: float) -> str:
    # A whole number of thousands of digits can't even be written.
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return f"a whole number of {value.bit_length()} bits"
    return f"{value:g}"
