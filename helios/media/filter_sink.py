"""The pictures that come out of a graph of FFmpeg's filters."""

from collections.abc import Iterator

import av
from av.filter.context import FilterContext
from av.video.frame import VideoFrame


def ready(sink: FilterContext) -> Iterator[VideoFrame]:
    """The pictures that are ready at a sink of pictures; none while its filters wait for more, and after the end."""
    while True:
        try:
            found = sink.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(found, VideoFrame)  # noqa: S101  narrows the type
        yield found
