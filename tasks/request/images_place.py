"""The place in storage that a sequence's images are sent to (`--images-to`)."""

import asyncio
import re
from pathlib import Path

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.models.spec import JobSpec
from helios.storage.folder import Storage
from helios.storage.local_folder import path_of
from helios.storage.urls import is_storage_url
from tasks.site import Site

_PATTERN = re.compile(r"#|%0?\d*d")


def open_images_place(url: str, spec: JobSpec, *, directory: JobDirectory, site: Site) -> Storage:
    """Find the folder, and try to write there.

    Args:
        url: As it was asked for: `s3://`, `gs://` or `file://`.
        spec: The job document.
        directory: The job directory.
        site: Where chunks are rendered; its rights count where the folder is in its bucket.

    Raises:
        RequestError: Images can't be sent there; says what was expected.
    """
    if not spec.is_images:
        raise RequestError(
            f"The images are to be sent to {url} (--images-to), but the job's chunks write videos; leave it out, or "
            "name the joined video's place (--output)"
        )
    if not is_storage_url(url):
        raise RequestError(
            f"Images can't be sent to {url!r} (--images-to); expected a folder's URL, such as s3://bucket/shots/, "
            "gs://bucket/shots/ or file:///mnt/shots/"
        )
    if _PATTERN.search(name := url.rstrip("/").rpartition("/")[2]):
        raise RequestError(
            f"Images can't be sent to {url} (--images-to): {name!r} is a pattern; expected a folder, in which the "
            "images have the names that the job document gives them"
        )
    path = path_of(url)
    if path is not None and path.resolve().is_relative_to(directory.path):
        raise RequestError(
            f"Images can't be sent to {path} (--images-to), which lies in the job directory {directory.path}, where "
            "they are anyway; name a folder elsewhere, or leave it out"
        )
    storage = site.storage_at(url)
    asyncio.run(storage.check_writable(Path(spec.chunks[0].output_file).name))
    return storage
