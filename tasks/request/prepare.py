"""Find everything that a request names, and check it before anything runs. Called by the flow alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from adapters import AdapterChoice, create_adapter
from helios.adapter import WorkerAdapter
from helios.errors import HeliosError, RequestError
from helios.job.directory import JobDirectory
from helios.job.inputs import InputRules
from helios.job.own_outputs import check_outputs_are_not_read
from helios.media.sound_order import CHUNKS_OWN, SoundOrder
from helios.media.source_file import FromSource
from helios.models.command_line import split_command
from helios.models.delivery import NO_DELIVERY, Delivery
from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.verification import DEFAULT_LEVEL, VerifyLevel
from helios.prices.book import PriceBook, load_prices, own_file
from helios.sizes import parse_size
from helios.storage.folder import Storage
from helios.storage.output_cache import OutputCache, cache_url
from helios.storage.urls import parent_url, split_url
from tasks.request.audit_order import NO_AUDIT, AuditOrder
from tasks.request.chosen_chunks import select_chunks
from tasks.request.growing import check_growing
from tasks.request.images import check_images
from tasks.request.images_place import open_images_place
from tasks.request.prepared_places import (
    PreparedPlace,
    inputs_of,
    merge_adapter_of,
    prepare_places,
    storage_of,
    variables_of,
)
from tasks.request.read_files import excluded, own_streams, read_by_name
from tasks.request.request import RenderRequest, is_elsewhere
from tasks.request.source_order import from_source, wanted_sound
from tasks.request.video_place import VideoPlace, written_files
from tasks.site import shares_disk


@dataclass(frozen=True)
class Merge:
    """The job's own command that joins the chunk outputs."""

    argv: tuple[str, ...]
    """Program and arguments."""
    adapter: WorkerAdapter
    """Runs it."""


@dataclass(frozen=True)
class VideoUpload:
    """A place in artifact storage for the stitched video."""

    storage: Storage
    """The folder."""
    key: str
    """The name in it."""


@dataclass(frozen=True)
class CacheChoice:
    """The cache of outputs that a job uses."""

    cache: OutputCache
    """The cache."""
    most_bytes: int
    """The most that it holds."""
    is_read: bool
    """Whether outputs are taken from it. What is rendered is put into it in any case."""


@dataclass(frozen=True)
class PreparedJob:
    """A sound job, with everything that it needs found."""

    spec: JobSpec
    """The job document."""
    name: str
    """The job's name for people: its id, or the document's file name."""
    source: str | None
    """Path or URL of the job document; None when it was given as an object."""
    chunks: tuple[RenderJobChunk, ...]
    """What is to be rendered, in frame order: all of the spec's chunks, or some. Of a job that is cut while it is
    rendered, the shortest that there may be: their outputs are those that it may have."""
    directory: JobDirectory
    """Where commands run and outputs lie."""
    places: tuple[PreparedPlace, ...]
    """Where the chunks are rendered, the preferred one first; at least one."""
    prices: PriceBook
    """What workers cost."""
    input_rules: InputRules
    """What the chunks are rendered from."""
    is_strict: bool = False
    """Whether warnings are failures."""
    last_chunk: str | None = None
    """How the last chunk may differ from the plan; None for not at all."""
    level: VerifyLevel = DEFAULT_LEVEL
    """How thoroughly outputs are verified."""
    audit: AuditOrder = NO_AUDIT
    """How many chunks are rendered a second time."""
    hedge: float = 0.0
    """What second attempts of slow chunks may cost, as a share of the time of the others; 0 for none."""
    is_hedge_named: bool = False
    """Whether somebody has named that share."""
    budget: float | None = None
    """What its workers may cost, in the currency of the prices; None for any amount."""
    budget_stops: bool = False
    """Whether chunks in flight are stopped when the budget is spent; else they are finished."""
    deadline: str | None = None
    """By when its chunks are to be rendered, as `helios.models.deadline` reads it; None for no matter when."""
    output: Path | None = None
    """The stitched video on this machine; None when none is asked for."""
    overwrites: bool = False
    """Whether the video replaces whatever has its name; else a file that no job wrote is moved aside."""
    upload: VideoUpload | None = None
    """Where the stitched video goes in the end, if that is in storage."""
    sound: SoundOrder = CHUNKS_OWN
    """Where the stitched video's sound comes from, and how it is written."""
    from_source: FromSource | None = None
    """The file that the chunks are encoded from, where the document names one."""
    delivery: Delivery = NO_DELIVERY
    """The stitched video's fragments, brand and metadata."""
    has_preview: bool = True
    """Whether the video can be watched while it is rendered."""
    images_to: Storage | None = None
    """A folder in storage that the images are sent to."""
    merge: Merge | None = None
    """Joins the outputs where no stitched video is asked for."""
    cache: CacheChoice | None = None
    """The cache of outputs that the job uses."""

    @cached_property
    def _end_frame(self) -> int:
        return max(chunk.end_frame for chunk in self.spec.chunks)

    def is_last(self, chunk: RenderJobChunk) -> bool:
        """Whether a chunk has the last frame of the document."""
        return chunk.end_frame == self._end_frame

    def place(self, name: str | None) -> PreparedPlace:
        """The place of a name; the only one for None, or the first."""
        return next((place for place in self.places if place.name == name), self.places[0])

    @property
    def total_frames(self) -> int:
        """Frames to render."""
        return sum(chunk.frame_count for chunk in self.chunks)

    @property
    def video_url(self) -> str | None:
        """The stitched video's address in storage; None where it stays on this machine."""
        return self.upload.storage.url_of(self.upload.key) if self.upload else None


def prepare(request: RenderRequest) -> PreparedJob:
    """Check a request from end to end, and open what it needs. Blocking: call it in a thread.

    Args:
        request: With an output's name complete, and with no blocks in its adapters.

    Raises:
        RequestError: Something can't work; says what, and what to do.
        WorkerUnavailableError: The job's URL, or storage, did not answer.
    """
    spec = request.check()
    directory = request.open_directory(spec)
    directory.check(spec)
    video = VideoPlace(request, spec, directory)
    outputs = written_files(spec, directory, video.path)
    check_outputs_are_not_read(outputs, read_by_name(request, spec, directory))
    written = outputs | own_streams() | excluded(spec, directory.path)
    name = request.job_name(spec)
    places = prepare_places(
        request.adapter, name=name, spec=spec, source=request.source, directory=directory, written=written
    )
    if request.last_chunk is not None and not all(shares_disk(place.adapter) for place in places):
        raise RequestError(
            "A last chunk of another length can't be had from workers that do not share this machine's disk: they "
            "verify what they render; correct the plan, or leave it out (--last-chunk)"
        )
    if spec.is_images:
        check_images(request, spec)
    if spec.grows:
        check_growing(request)
    chunks = select_chunks(spec, request.chunks)
    if request.audit > 0:
        for chunk in chunks:  # not only those that are drawn: whether a job is refused is not left to chance
            for place in places:
                place.site.check_repeatable(chunk)
    merge = None
    if request.is_joined and video.path is None and spec.merge_command is not None:
        merge = Merge(split_command(spec.merge_command), _merge_adapter(request.merge_adapter, places))
    return PreparedJob(
        spec=spec,
        name=name,
        source=request.source,
        chunks=chunks,
        directory=directory,
        places=places,
        prices=load_prices(own_file()),
        input_rules=_input_rules(request, spec, places, directory=directory.path, written=written),
        is_strict=request.strict,
        last_chunk=request.last_chunk,
        level=request.level(spec),
        audit=request.audit_order,
        hedge=_hedge_share(request, spec, default=max(place.site.hedge for place in places)),
        is_hedge_named=request.hedge is not None or spec.hedge is not None,
        budget=request.budget,
        budget_stops=request.budget_stop == "stop",
        deadline=request.deadline,
        output=video.path,
        overwrites=request.overwrite is True,
        upload=_open_upload(video.url, places) if video.url else None,
        sound=_sound(request, spec, directory, video.path),
        from_source=from_source(spec, directory),
        delivery=request.delivery(spec) if video.path is not None else NO_DELIVERY,
        has_preview=request.preview,
        images_to=open_images_place(request.images_to, spec, directory=directory, places=places)
        if request.images_to
        else None,
        merge=merge,
        cache=_open_cache(request.cache, request, places) if request.cache is not None else None,
    )


def _input_rules(
    request: RenderRequest, spec: JobSpec, places: Sequence[PreparedPlace], *, directory: Path, written: set[Path]
) -> InputRules:
    """What the chunks are rendered from: what the document names, else what workers elsewhere get, else everything."""
    patterns, field = (spec.inputs, "inputs") if spec.inputs is not None else inputs_of(places, spec)
    # The document's changes are judged by themselves, and the sound track is no part of a chunk.
    named = [] if request.source is None or is_elsewhere(request.source) else [Path(request.source)]
    named += own_streams()
    if request.audio_file is not None:
        named.append(directory / Path(request.audio_file).expanduser())
    apart = {place for path in named for place in (path.resolve(), path.parent.resolve() / path.name)}  # links too
    return InputRules(
        directory=directory,
        patterns=patterns,
        written=frozenset(map(str, [*written, *apart])),
        variables=variables_of(places),
        revision=request.revision or spec.revision,
        field=field,
        apart=frozenset(path.relative_to(directory).as_posix() for path in apart if path.is_relative_to(directory)),
    )


def _merge_adapter(choice: AdapterChoice | None, places: Sequence[PreparedPlace]) -> WorkerAdapter:
    if choice is None:
        return merge_adapter_of(places)
    adapter = create_adapter(choice)[1]
    if not shares_disk(adapter):
        raise RequestError(
            "The merge command can't run on workers that do not share this machine's disk: the chunk outputs are here; "
            "leave the merge adapter out, or name local"
        )
    return adapter


def _open_upload(url: str, places: Sequence[PreparedPlace]) -> VideoUpload:
    """Find the place of a video in storage, and try to write there."""
    storage, name = storage_of(places, parent_url(url)), PurePosixPath(split_url(url)[1]).name
    asyncio.run(storage.check_writable(name))  # a bucket that is missing or closed shows now, not after the render
    return VideoUpload(storage, name)


def _open_cache(place: str, request: RenderRequest, places: Sequence[PreparedPlace]) -> CacheChoice:
    """Find the cache, and try to write there."""
    try:
        cache = OutputCache(storage_of(places, cache_url(place)))
        asyncio.run(cache.open())
    except (HeliosError, OSError) as exc:
        raise RequestError(f"The cache {place} can't be used (--cache): {exc}") from exc
    # Chunks that are named in the request are rendered anew.
    is_read = not request.fresh and request.chunks is None
    return CacheChoice(cache, parse_size(request.cache_size), is_read=is_read)


def _sound(request: RenderRequest, spec: JobSpec, directory: JobDirectory, output: Path | None) -> SoundOrder:
    order = wanted_sound(request.sound, spec)
    if order.file is None or output is None:
        return order
    path = directory.path / order.file.expanduser()
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise RequestError(f"The sound file {path} is no regular file; name one with sound (--audio)")
    return replace(order, file=path)


def _hedge_share(request: RenderRequest, spec: JobSpec, *, default: float) -> float:
    """What second attempts of slow chunks may cost: as asked for, else as the document says, else the default."""
    wanted = spec.hedge if request.hedge is None else request.hedge
    return default if wanted is None else wanted
