"""What a run is asked for: the flow's parameters as one value. The command line builds it, and so does the flow.

`RenderRequest.check` reads the job document, sees whether the job directory is there, and changes nothing: neither on
disk nor in storage. `tasks.request.prepare` finds what the request names, in the flow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from adapters import AdapterChoice, check_adapter
from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.job.source import is_url, load_job_spec
from helios.media.sound_order import SoundOrder, SoundTracks, known_sound_codec, known_tracks
from helios.models.delivery import NO_DELIVERY, Delivery
from helios.models.spec import MAX_REVISION, JobSpec, RenderJobChunk
from helios.models.verification import DEFAULT_LEVEL, VerifyLevel, known_level
from helios.sizes import parse_size
from helios.storage.local_folder import path_of
from helios.storage.output_cache import cache_url
from helios.storage.urls import is_storage_url, split_url
from tasks.request.audit_order import LEAST_PSNR, AuditOrder
from tasks.request.block_names import names_block
from tasks.request.bounds import check_extent
from tasks.request.chosen_chunks import select_chunks
from tasks.request.delivery_order import check_video, wanted_delivery
from tasks.request.money import AFTER_BUDGET, check_money
from tasks.request.output_name import check_placeholders
from tasks.request.places import AdapterChoices, read_places
from tasks.request.source_order import wanted_sound

LAST_CHUNK = ("shorter", "longer")
"""How a last chunk may differ from the plan; `tasks.run.last_chunk.LastChunk`."""
ENVIRONMENT_RETRIES = 5
"""How often a chunk is tried again, by default, because its environment failed; not counted among its own retries."""
HAND_OVERS = 3
"""How often a deployment's run is handed over to another worker, by default."""
CACHE_SIZE = "50 GB"
"""The most that a cache of outputs holds, by default: some hundred hours of compressed video."""


@dataclass(frozen=True)
class RenderRequest:
    """The flow's parameters; `tasks.request.parameters` describes each."""

    job: str | Mapping[str, Any]
    adapter: AdapterChoices = "local"
    concurrency: int | None = None
    retries: int = 2
    retry_delay_seconds: float = 1.0
    environment_retries: int = ENVIRONMENT_RETRIES
    max_failed_chunks: int = 0
    chunk_timeout_seconds: float | None = None
    stall_timeout_seconds: float | None = None
    job_dir: str | None = None
    output_file: str | None = None
    images_to: str | None = None
    merge: bool = True
    merge_adapter: AdapterChoice | None = None
    audio_file: str | None = None
    audio_tracks: str = SoundTracks.FIRST.value
    audio_codec: str | None = None
    fragments: str | float | None = None
    brand: str | None = None
    metadata: Mapping[str, str] | None = None
    chunks: Sequence[int] | None = None
    fresh: bool = False
    overwrite: bool | None = None
    overdue_seconds: float | None = None
    webhook: str | None = None
    webhook_secret: str | None = None
    webhook_data: Mapping[str, Any] | None = None
    verify: str | None = None
    strict: bool = False
    audit: float = 0.0
    audit_psnr: float = LEAST_PSNR
    audit_seed: int | None = None
    hedge: float | None = None
    budget: float | None = None
    budget_stop: str = AFTER_BUDGET[0]
    deadline: str | None = None
    cache: str | None = None
    cache_size: str = CACHE_SIZE
    last_chunk: str | None = None
    revision: str | None = None
    hand_overs: int = HAND_OVERS
    preview: bool = True

    @property
    def source(self) -> str | None:
        """Path or URL of the job document; None when it was given as an object."""
        return self.job if isinstance(self.job, str) else None

    @property
    def directory(self) -> Path:
        """The job directory: as asked for, else the document's folder, else the current directory."""
        if self.job_dir is not None:
            return Path(self.job_dir).expanduser()
        source = self.source
        return Path.cwd() if source is None or is_elsewhere(source) else Path(source).parent

    @property
    def _levels(self) -> int:
        """How many folders above the document's own belong to the job directory that was asked for."""
        if self.job_dir is None or self.source is None or is_elsewhere(self.source):
            return 0
        folder, root = Path(self.source).resolve().parent, self.directory.resolve()
        return len(folder.relative_to(root).parts) if folder.is_relative_to(root) else 0

    def load(self) -> JobSpec:
        """Read the job document. Its paths may lead above its folder where the job directory lies above that, too.

        Raises:
            RequestError: It is not sound, or there is none.
            WorkerUnavailableError: The job's URL did not answer.
        """
        if self.job == "":
            raise RequestError("No job document was named; expected its path or URL, or the document itself")
        return load_job_spec(self.job, levels=self._levels)

    def open_directory(self, spec: JobSpec) -> JobDirectory:
        """The job directory. Commands run in it, or in the document's folder if the document's paths lead above that.

        Raises:
            RequestError: It does not exist.
        """
        if self._levels == 0 or self.source is None:
            return JobDirectory(self.directory)
        folder = Path(self.source).resolve().parent
        is_above = spec.leads_up or _reads_above(spec.chunks[0], folder, self.directory)
        return JobDirectory(self.directory, base=folder if is_above else None)

    @property
    def is_joined(self) -> bool:
        """Whether the chunks are to be joined."""
        return self.merge and self.chunks is None

    @property
    def audit_order(self) -> AuditOrder:
        """What is asked for as an audit."""
        return AuditOrder(self.audit, self.audit_psnr, self.audit_seed)

    @property
    def sound(self) -> SoundOrder:
        """What is asked for as the video's sound; the file's path is as it was given.

        Raises:
            RequestError: There is no such codec, or no such choice of tracks.
        """
        return SoundOrder(
            file=Path(self.audio_file) if self.audio_file else None,
            tracks=known_tracks(self.audio_tracks),
            codec=known_sound_codec(self.audio_codec) if self.audio_codec else None,
        )

    def level(self, spec: JobSpec) -> VerifyLevel:
        """How thoroughly outputs are verified: as asked for, else as the document says, else the default.

        Raises:
            RequestError: There is no such level.
        """
        if self.verify is None:
            return spec.verify or DEFAULT_LEVEL
        if (level := known_level(self.verify)) is None:
            raise RequestError(
                f"The level {self.verify!r} is not known (--verify); expected one of {', '.join(VerifyLevel)}"
            )
        return level

    def delivery(self, spec: JobSpec) -> Delivery:
        """How the joined video is delivered: as asked for, else as the document says.

        Raises:
            RequestError: It can't be delivered so.
        """
        return wanted_delivery(
            spec.delivery or NO_DELIVERY, fragments=self.fragments, brand=self.brand, metadata=self.metadata
        )

    def job_name(self, spec: JobSpec) -> str:
        """The job's name for people: its id, or the document's file name."""
        return spec.id or (Path(self.source).stem if self.source else "job")

    def _check_names(self) -> None:
        """Refuse paths that are not UTF-8: Prefect keeps them, and the report, as JSON."""
        for path in (str(self.directory.absolute()), self.source, self.output_file, self.audio_file):
            try:
                (path or "").encode()
            except UnicodeEncodeError:
                raise RequestError(f"The path {path!r} is not UTF-8, and can't be recorded; rename it") from None

    def check(self) -> JobSpec:
        """Refuse what can be refused by reading the job document and the parameters.

        Returns:
            The job document.

        Raises:
            RequestError: Something can't work; says what, and what to do.
            WorkerUnavailableError: The job's URL did not answer.
        """
        check_extent(self)
        self._check_names()
        spec = self.load()
        select_chunks(spec, self.chunks)
        self.level(spec)
        self.audit_order.check()
        check_money(self)
        parse_size(self.cache_size)
        self._check_cache()
        if self.last_chunk is not None and self.last_chunk not in LAST_CHUNK:
            known = " or ".join(LAST_CHUNK)
            raise RequestError(f"The last chunk can't be {self.last_chunk!r} (--last-chunk); expected {known}")
        if self.revision is not None and not 1 <= len(self.revision) <= MAX_REVISION:
            raise RequestError(
                f"The revision has {len(self.revision)} characters (--revision); expected 1 to {MAX_REVISION}"
            )
        self.open_directory(spec).check(spec)
        for choice in (*(place.adapter for place in read_places(self.adapter)), self.merge_adapter):
            if choice is not None and not names_block(choice):
                check_adapter(choice)
        self._check_output(spec)
        return spec

    def _check_output(self, spec: JobSpec) -> None:
        """Refuse a video, or sound for it, that can't be made.

        Raises:
            RequestError: Says what was expected.
        """
        if self.output_file is not None and not self.is_joined:
            raise RequestError(
                f"An output file ({self.output_file}) was asked for together with no merge, or with single chunks; "
                "expected one or the other"
            )
        output, delivery = self.output_file or spec.output_file, self.delivery(spec)
        if output is None or not self.is_joined:
            self._refuse_settings_without_video()
            return
        if self.output_file is not None:  # a document's name is a name
            check_placeholders(self.output_file)
        name = Path(PurePosixPath(split_url(output)[1]).name if is_storage_url(output) else output)
        check_video(name, spec, sound=wanted_sound(self.sound, spec), delivery=delivery)

    def _refuse_settings_without_video(self) -> None:
        """Refuse settings of a video where there will be none."""
        for what, given in {"sound file": self.audio_file, "codec of the sound": self.audio_codec}.items():
            if given is not None:
                raise RequestError(
                    f"A {what} ({given}) was given, but no output file to put it in; name one (--output)"
                )
        if self.fragments is not None or self.brand is not None or self.metadata:
            raise RequestError(
                "Fragments, a brand or metadata were asked for, but no video that they could be put into; name one "
                "(--output), or leave them out (--fragments, --brand, --metadata)"
            )

    def _check_cache(self) -> None:
        """Refuse a cache that is no place, or that lies among the job's inputs.

        Raises:
            RequestError: Says what was expected.
        """
        path = None if self.cache is None else path_of(cache_url(self.cache))
        if path is None:
            return
        inside, directory = path.resolve(), self.directory.resolve()
        if inside.is_relative_to(directory) and not any(
            part.startswith(".") for part in inside.relative_to(directory).parts
        ):
            raise RequestError(
                f"The cache {path} lies in the job directory {directory}, where its files would be inputs of the job; "
                "expected another folder, or one whose name begins with a dot (--cache)"
            )


def _reads_above(chunk: RenderJobChunk, folder: Path, directory: Path) -> bool:
    """Whether a command names a file above the document's folder, which it would not find from the job directory."""
    words = [word for word in chunk.argv if word.startswith("../")]
    return any((folder / word).exists() and not (directory / word).exists() for word in words)


def is_elsewhere(source: str) -> bool:
    """Whether a document is at a URL, and not on this machine's disk."""
    return is_url(source) or is_storage_url(source)
