"""The video that a job's chunks are encoded from, for workers elsewhere."""

import posixpath
from pathlib import Path

import av

from helios.errors import RequestError
from helios.job.assets import AssetBundle
from helios.job.block_list import store_block_list
from helios.job.directory import JobDirectory
from helios.media.chunk_file import moving_pictures
from helios.media.opening import open_media
from helios.models.spec import JobSpec
from helios.storage.folder import Storage

LEAST_RANGED_BYTES = 16 * 1024 * 1024
"""A smaller source is fetched whole, once for each machine: what each chunk reads beside its pictures would be more."""


def source_name(spec: JobSpec, directory: JobDirectory) -> str | None:
    """The source's name in the job directory; None where the document names none.

    `helios-job encode` puts a link to it there. A link out of the directory could lead to anything of this user's, in a
    directory that a stranger packed; so it has to be a video.

    Raises:
        RequestError: It is a link out of the job directory to something else.
    """
    if spec.source is None:
        return None
    name = posixpath.normpath(spec.source.file)
    path = directory.path / name
    if not path.resolve().is_relative_to(directory.path):
        try:
            with open_media(path) as file:
                has_pictures = bool(moving_pictures(file))
        except (av.FFmpegError, OSError):
            has_pictures = False
        if not has_pictures:
            raise RequestError(
                f"The source {path} is a link that leads out of the job directory, to {path.resolve()}, which is no "
                "video; expected the video that the chunks are encoded from"
            )
    return name


async def lists_of_blocks(spec: JobSpec, bundle: AssetBundle, directory: Path, storage: Storage) -> dict[str, str]:
    """Store lists of the blocks of those input files whose parts workers fetch: of a large source.

    Args:
        spec: The job document.
        bundle: The job's input files, in storage.
        directory: The job directory.
        storage: Where they are.

    Returns:
        For each name the SHA-256 of its list, in hexadecimal.

    Raises:
        RequestError: The source changed meanwhile.
    """
    if spec.source is None or not spec.source.by_ranges:
        return {}
    name = posixpath.normpath(spec.source.file)
    return {
        asset.path: await store_block_list(asset, directory / name, storage)
        for asset in bundle.assets
        if asset.path == name and asset.bytes >= LEAST_RANGED_BYTES
    }
