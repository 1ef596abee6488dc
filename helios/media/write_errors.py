"""What goes wrong while a video is written: the file system's part, and what the container or an encoder refuses."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from helios.errors import FULL, HeliosError, RequestError, WorkerUnavailableError

LARGEST_ERRNO = 200
"""FFmpeg's own errors have numbers far above those of the system."""


@contextmanager
def write_errors(output: Path, what: str) -> Iterator[None]:
    """Translate the errors of writing.

    Args:
        output: The video's own name.
        what: What is written into it, for the container's or an encoder's refusal.

    Raises:
        WorkerUnavailableError: The file system does not let it be written.
        RequestError: The container or an encoder has no place for it.
    """
    try:
        yield
    except HeliosError:
        raise
    except (OSError, av.FFmpegError, ValueError) as exc:
        number = getattr(exc, "errno", None)
        if isinstance(exc, ValueError) or number is None or number == errno.EINVAL or number > LARGEST_ERRNO:
            reason = getattr(exc, "strerror", None) or exc
            raise RequestError(
                f"{output.name} can't be made of these chunks: {what} can't be put into it ({reason}); write another "
                "kind of file (--output NAME.mkv), or render the chunks in another way"
            ) from exc
        free = "; make room there, or write the output elsewhere, and run the job again" if number in FULL else ""
        raise WorkerUnavailableError(
            f"{output} can't be written: {getattr(exc, 'strerror', None) or exc}{free}"
        ) from exc
