"""Where a job's stitched video goes, and every file that the job writes."""

import os
import uuid
from pathlib import Path, PurePosixPath

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.media.animation_kinds import joined_name
from helios.media.containers import container_of
from helios.models.paths import OWN_FOLDER
from helios.models.spec import JobSpec
from helios.storage.urls import is_storage_url, split_url
from tasks.request.output_name import plain_name
from tasks.request.request import RenderRequest


class VideoPlace:
    """The stitched video: where it is written on this machine, and its address in storage if it goes there.

    Args:
        request: The request.
        spec: Its document.
        directory: Where commands run.

    Raises:
        RequestError: The video can't be written there.
    """

    def __init__(self, request: RenderRequest, spec: JobSpec, directory: JobDirectory) -> None:
        wanted = None if request.output_file is None else plain_name(request.output_file)
        self.url = wanted if wanted is not None and is_storage_url(wanted) else None
        """Its address in storage; None where it stays here."""
        self.path: Path | None = None
        """Where it is written on this machine; None where none is asked for."""
        if not request.is_joined:
            return
        if self.url is not None:
            wanted = f"{OWN_FOLDER}/output/{uuid.uuid4().hex[:12]}-{PurePosixPath(split_url(self.url)[1]).name}"
        self.path = _output(spec, directory, wanted)


def written_files(spec: JobSpec, directory: JobDirectory, video: Path | None) -> set[Path]:
    """Every file that a job writes, with its video on this machine."""
    found = {path for chunk in spec.chunks for path in directory.outputs(chunk)}
    if spec.output_file:
        found.add(directory.output(spec.output_file))
    return found | ({video} if video else set())


def _output(spec: JobSpec, directory: JobDirectory, output_file: str | None) -> Path | None:
    if output_file is None:
        if spec.output_file is None:
            return None
        output = directory.output(spec.output_file)
    else:
        # The caller may put the video anywhere; a job document may not: it can come from a stranger.
        output = directory.path / Path(output_file).expanduser()
        output = output.parent.resolve() / output.name  # a link that is changed while the job runs leads nowhere else
        if any(output in directory.outputs(chunk) for chunk in spec.chunks):
            raise RequestError(f"The output file {output} is also a chunk's output; name another one")
    container_of(joined_name(output))
    try:
        if output.is_dir():
            raise RequestError(f"The output file {output} is a directory; name a file in it")
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RequestError(f"The folder {output.parent} can't be made: {exc.strerror}; name another output") from None
    if not os.access(output.parent, os.W_OK):
        raise RequestError(f"The folder {output.parent} can't be written to; name another output file")
    return output
