"""What jobs can't have that are cut while they are rendered: it is refused before anything runs."""

from helios.errors import RequestError
from tasks.request.request import RenderRequest


def check_growing(request: RenderRequest) -> None:
    """Refuse a request that names chunks which are not known yet.

    Raises:
        RequestError: Says what can't be had, and what to do.
    """
    if request.chunks is not None:
        raise RequestError(
            "Chunks can't be named of a job that is cut while it is rendered (template.targetSeconds): they are not "
            "known yet; leave them out (--chunk), or give template.chunkFrames"
        )
    if request.audit > 0:
        raise RequestError(
            "A job that is cut while it is rendered (template.targetSeconds) can't be audited: chunks are drawn before "
            "anything runs; leave the audit out (--audit), or give template.chunkFrames"
        )
    if request.deadline is not None:
        raise RequestError(
            "A job that is cut while it is rendered (template.targetSeconds) can't have a deadline: how long it takes "
            "shows on the way; leave the deadline out (--deadline), or give template.chunkFrames"
        )
