"""Where a worker's job document comes from."""

import asyncio
from collections.abc import Callable

from helios.job.source import MAX_DOCUMENT_BYTES, is_url, read_document
from helios.models.invocation import ChunkRequest
from helios.web import fetch_while_awaited
from helios.worker.settings import WorkerSettings


async def job_document(request: ChunkRequest, settings: WorkerSettings) -> bytes:
    """The document of a request: the one within it, if the caller may run any command here, else what its path has.

    A caller that is bound to some places has no say in what the documents there are.

    Raises:
        RequestError: The worker takes no jobs from there, or there is none.
    """
    if request.document is not None and settings.job_prefixes is None:
        return request.document.encode("utf-8", "surrogatepass")
    return await fetch_document(request.job_path, check=settings.check_place)


async def fetch_document(place: str, *, check: Callable[[str], None]) -> bytes:
    """Read a document from a path or a URL.

    Args:
        place: Where it is.
        check: Refuses addresses that the worker may not ask; also called for those that a server sends the reader to.
    """
    if is_url(place):
        return await fetch_while_awaited(place, limit=MAX_DOCUMENT_BYTES, check=check)
    return await asyncio.to_thread(read_document, place)
