"""A job that was checked as far as it can be before anything runs. Shared by the flow and the command line."""

import asyncio
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel

from adapters import create_adapter, limit_name
from helios.adapter import StorageAdapter, WorkerAdapter
from helios.errors import Problem, RequestError, SpecError
from helios.job.assets import select_assets
from helios.job.directory import JobDirectory
from helios.job.source import is_url, load_job_spec
from helios.media.containers import container_of
from helios.media.soundtrack import check_audio_file
from helios.models.paths import OWN_FOLDER
from helios.models.spec import JobSpec, RenderJobChunk, split_command
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.urls import is_storage_url, parent_url, split_url

AdapterChoice = str | Mapping[str, Any] | BaseModel


@dataclass(frozen=True)
class Merge:
    """The job's own command that joins the chunk outputs."""

    argv: tuple[str, ...]
    """Program and arguments."""
    adapter: WorkerAdapter
    """Runs it."""


@dataclass(frozen=True)
class Publication:
    """A place in artifact storage for the stitched video."""

    storage: Storage
    """The folder."""
    key: str
    """The name in it."""

    @property
    def url(self) -> str:
        """The whole address."""
        return self.storage.url_of(self.key)


@dataclass(frozen=True)
class PreparedJob:
    """A sound job, with everything that it needs found."""

    spec: JobSpec
    """The job document."""
    source: str | None
    """Path or URL of the job document; None when it was given as an object."""
    chunks: tuple[RenderJobChunk, ...]
    """What is to be rendered, in frame order: all of the spec's chunks, or some."""
    directory: JobDirectory
    """Where commands run and outputs lie."""
    adapter_name: str
    """The adapter's name."""
    adapter: WorkerAdapter
    """Runs the chunks."""
    limit: str
    """Name of the global concurrency limit whose slots their attempts take, where there is one."""
    output: Path | None
    """The stitched video; None when none is asked for."""
    audio_file: Path | None
    """The stitched video's sound track, if it is not the chunks' own."""
    merge: Merge | None
    """Joins the outputs where no stitched video is asked for."""
    published: Publication | None = None
    """Where the stitched video goes in the end, if that is in storage."""
    assets: tuple[Path, ...] = ()
    """Input files that are uploaded for workers elsewhere."""

    @property
    def name(self) -> str:
        """What people call the job: its id, or the document's file name."""
        return self.spec.id or (Path(self.source).stem if self.source else "job")

    @property
    def total_frames(self) -> int:
        """Frames to render."""
        return sum(chunk.frame_count for chunk in self.chunks)


def prepare_job(
    job: str | Mapping[str, Any],
    *,
    adapter: AdapterChoice = "local",
    job_dir: str | None = None,
    output_file: str | None = None,
    merge: bool = True,
    merge_adapter: AdapterChoice | None = None,
    audio_file: str | None = None,
    chunk_ids: Sequence[int] | None = None,
) -> PreparedJob:
    """Check a request from end to end.

    Args:
        job: Path or URL of a job document, or the document as an object.
        adapter: Name or configuration of the adapter that renders the chunks.
        job_dir: Working directory of commands and folder of outputs. By default the folder of the job
            document, or the current directory for a URL or an object.
        output_file: The stitched video; relative to the job directory, or a storage URL. By default the spec's own.
        merge: Whether to join the chunk outputs at all.
        merge_adapter: Runs the spec's merge command; by default the adapter of the chunks, or this machine where
            their workers do not share its disk.
        audio_file: The stitched video's sound track; relative to the job directory.
        chunk_ids: Render these chunks alone, and join nothing.

    Raises:
        RequestError: Something can't work; says what, and what to do.
        WorkerUnavailableError: The job's URL did not answer.
    """
    spec = load_job_spec(job)
    source = job if isinstance(job, str) else None
    directory = JobDirectory(_job_directory(source, job_dir))
    directory.check(spec)
    chunks = _select(spec, chunk_ids)
    adapter_name, worker = create_adapter(adapter)
    joined = merge and chunk_ids is None
    if output_file is not None and not joined:
        raise RequestError(
            f"An output file ({output_file}) was asked for together with no merge, or with single chunks; "
            "expected one or the other"
        )
    published = _publication(output_file, worker) if output_file is not None and is_storage_url(output_file) else None
    if published is not None:
        output_file = f"{OWN_FOLDER}/output/{uuid.uuid4().hex[:12]}-{PurePosixPath(published.key).name}"
    output = _output(spec, directory, output_file) if joined else None
    if audio_file is not None and output is None:
        raise RequestError(
            f"A sound file ({audio_file}) was given, but no output file to put it in; name one (--output)"
        )
    audio = _audio(directory, audio_file) if audio_file is not None else None
    own_merge = None
    if joined and output is None and spec.merge_command is not None:
        own_merge = Merge(split_command(spec.merge_command), _merge_runner(merge_adapter, worker))
    return PreparedJob(
        spec=spec,
        source=source,
        chunks=chunks,
        directory=directory,
        adapter_name=adapter_name,
        adapter=worker,
        limit=limit_name(adapter),
        output=output,
        audio_file=audio,
        merge=own_merge,
        published=published,
        assets=_assets(spec, directory, worker, output),
    )


def _merge_runner(choice: AdapterChoice | None, worker: WorkerAdapter) -> WorkerAdapter:
    if choice is None and not isinstance(worker, StorageAdapter):
        return worker
    runner = create_adapter(choice or "local")[1]
    if isinstance(runner, StorageAdapter):
        raise RequestError(
            "The merge command can't run on workers that do not share this machine's disk: the chunk outputs are here; "
            "leave the merge adapter out, or name local"
        )
    return runner


def _publication(url: str, worker: WorkerAdapter) -> Publication:
    """Find the place of a video in storage, with the adapter's rights where it is in the adapter's bucket."""
    folder, name = parent_url(url), PurePosixPath(split_url(url)[1]).name
    container_of(Path(name))
    own = worker.storage if isinstance(worker, StorageAdapter) else None
    shared = own is not None and split_url(own.url)[0] == split_url(url)[0]
    storage = own.at(folder) if own is not None and shared else Storage(StorageSettings(url=folder))
    asyncio.run(storage.check_writable(name))  # a bucket that is missing or closed shows now, not after the render
    return Publication(storage, name)


def _assets(spec: JobSpec, directory: JobDirectory, worker: WorkerAdapter, output: Path | None) -> tuple[Path, ...]:
    """The files that are to be uploaded for workers elsewhere."""
    if not isinstance(worker, StorageAdapter) or (worker.assets is None and spec.assets_url is not None):
        return ()
    outputs = {directory.output(chunk.output_file) for chunk in spec.chunks}
    if spec.output_file is not None:
        outputs.add(directory.output(spec.output_file))
    if output is not None:
        outputs.add(output)
    return tuple(select_assets(directory.path, patterns=worker.assets, outputs=outputs))


def _job_directory(source: str | None, job_dir: str | None) -> Path:
    if job_dir is not None:
        return Path(job_dir).expanduser()
    is_elsewhere = source is None or is_url(source) or is_storage_url(source)
    return Path.cwd() if is_elsewhere else Path(source or "").parent


def _select(spec: JobSpec, chunk_ids: Sequence[int] | None) -> tuple[RenderJobChunk, ...]:
    if chunk_ids is None:
        return spec.ordered_chunks
    known = {chunk.id for chunk in spec.chunks}
    if unknown := sorted(set(chunk_ids) - known):
        problem = Problem("chunks", f"no chunk has the id {unknown[0]}", f"one of {_range(known)}")
        raise SpecError("job", (problem,))
    return tuple(chunk for chunk in spec.ordered_chunks if chunk.id in set(chunk_ids))


def _range(ids: set[int]) -> str:
    if ids == set(range(min(ids), max(ids) + 1)) and len(ids) > 2:
        return f"{min(ids)} to {max(ids)}"
    ordered = sorted(ids)
    return ", ".join(map(str, ordered[:10])) + (", …" if len(ordered) > 10 else "")


def _output(spec: JobSpec, directory: JobDirectory, output_file: str | None) -> Path | None:
    if output_file is None:
        if spec.output_file is None:
            return None
        output = directory.output(spec.output_file)
    else:
        # The caller may put the video anywhere; a job document may not: it can come from a stranger.
        output = directory.path / Path(output_file).expanduser()
        resolved = output.parent.resolve() / output.name
        if any(resolved == directory.output(chunk.output_file) for chunk in spec.chunks):
            raise RequestError(f"The output file {output} is also a chunk's output; name another one")
    container_of(output)
    if output.is_dir():
        raise RequestError(f"The output file {output} is a directory; name a file in it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RequestError(f"The folder {output.parent} can't be made: {exc.strerror}; name another output") from None
    if not os.access(output.parent, os.W_OK):
        raise RequestError(f"The folder {output.parent} can't be written to; name another output file")
    return output


def _audio(directory: JobDirectory, audio_file: str) -> Path:
    path = directory.path / Path(audio_file).expanduser()
    check_audio_file(path)
    return path
