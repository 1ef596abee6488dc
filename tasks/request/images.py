"""What jobs of images can't have: it is refused before anything runs."""

from pathlib import Path

from helios.errors import RequestError
from helios.media.image_encoding import VideoOrder
from helios.models.image_encoding import ImageEncoding
from helios.models.spec import JobSpec
from tasks.request.request import RenderRequest


def video_order(spec: JobSpec, output: str) -> VideoOrder:
    """How the images of a job's chunks are encoded.

    Args:
        spec: The document.
        output: The video's name.
    """
    return VideoOrder(spec.encode or ImageEncoding(), spec.metadata.fps, kind=Path(output).suffix.lower())


def check_images(request: RenderRequest, spec: JobSpec) -> None:
    """Refuse a request for images that can't be met.

    Args:
        request: The request.
        spec: Its document, whose chunks write images.

    Raises:
        RequestError: Says what can't be had, and what to do.
    """
    output = None if not request.is_joined else request.output_file or spec.output_file
    if output is not None:
        metadata = spec.metadata
        video_order(spec, output).check(width=metadata.width, height=metadata.height)
    if request.last_chunk is not None:
        raise RequestError(
            "A last chunk of another length can't be had of images, each of which has its frame's number; correct the "
            "plan, or leave it out (--last-chunk)"
        )
