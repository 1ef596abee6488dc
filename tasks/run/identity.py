"""Which run this is: its job, its names in records and in files, and how often its chunks may be tried."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from helios.media.animation_kinds import joined_name
from helios.models.spec import RenderJobChunk
from tasks.request.prepare import PreparedJob
from tasks.request.request import ENVIRONMENT_RETRIES, RenderRequest
from tasks.run.hand_over import HandOvers
from tasks.run.record_keys import chunk_key, cuts_key, document_key, images_key, inputs_key, spending_key, timings_key

IMAGES = "images"
"""What the names of folders begin with in which commands write images."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long a chunk may be tried."""

    retries: int = 0
    """How often its command may be tried again."""
    environment_retries: int = ENVIRONMENT_RETRIES
    """How often it is tried again because its environment failed."""
    most_failed: int = 0
    """How many chunks of the job may fail for good without ending it at once."""
    timeout_seconds: float | None = None
    """Its command is stopped when it runs longer."""
    stall_seconds: float | None = None
    """Its command is stopped after this many seconds without output, and without growth of its output file."""

    @classmethod
    def of(cls, request: RenderRequest) -> "RetryPolicy":
        """What a request asks for."""
        return cls(
            retries=request.retries,
            environment_retries=request.environment_retries,
            most_failed=request.max_failed_chunks,
            timeout_seconds=request.chunk_timeout_seconds,
            stall_seconds=request.stall_timeout_seconds,
        )


class RunIdentity:
    """What does not change while a run lives.

    Args:
        job: What is rendered.
        run_id: The flow run's id.
        key: The job's name in records, the same for all its runs.
        token: Tells this execution of the flow run from others.
        is_first: Whether no process worked on the flow run before.
        policy: How often and how long a chunk may be tried.
        hand_overs: How often the flow run was handed over to another worker, and may be.
    """

    def __init__(
        self,
        job: PreparedJob,
        *,
        run_id: str,
        key: str,
        token: str,
        is_first: bool = True,
        policy: RetryPolicy | None = None,
        hand_overs: HandOvers | None = None,
    ) -> None:
        self.job = job
        """What is rendered."""
        self.run_id = run_id
        """The flow run's id."""
        self.is_first = is_first
        """Whether no process worked on the flow run before."""
        self.token = token
        """Tells this execution of the flow run from others."""
        self.policy = policy or RetryPolicy()
        """How often and how long a chunk may be tried."""
        self.hand_overs = hand_overs or HandOvers()
        """How often the flow run was handed over to another worker, and may be."""
        self.key = key
        """The job's name in records, the same for all its runs."""

    def place(self, output: Path, name: str) -> Path:
        """Where something is written before it is `output`; a name that no other run of any job uses."""
        return self.job.directory.attempt(output, owner=self._owner, token=f"{self.token}-{name}")

    def own_place(self, output: Path, name: str) -> Path:
        """The same for what this program writes: commands, which know the names of attempts, can't guess the name.

        Else one could put a link there beforehand, through which another file would be written.
        """
        return self.place(output, f"{name}-{secrets.token_hex(8)}")

    def record_key(self, chunk: RenderJobChunk) -> str:
        """Where Prefect keeps the result of a chunk's task."""
        return chunk_key(self.job.spec, self.key, chunk)

    def images_key(self, chunk: RenderJobChunk) -> str:
        """Where the images of a chunk are kept, before all of them are accepted."""
        return images_key(self.job.spec, self.key, chunk)

    def inputs_key(self, list_key: str) -> str:
        """Where a list of inputs is kept."""
        return inputs_key(self.key, list_key)

    def cuts_key(self, number: int) -> str:
        """Where a part of the list of the job's cuts is kept, counted from 0."""
        return cuts_key(self.key, number)

    @property
    def document_key(self) -> str:
        """Where the job document of earlier runs is kept."""
        return document_key(self.key)

    @property
    def timings_key(self) -> str:
        """Where is kept how long the job's chunks took."""
        return timings_key(self.key)

    @property
    def spending_key(self) -> str:
        """Where is kept what the run has spent."""
        return spending_key(self.key, self.run_id)

    @property
    def is_whole(self) -> bool:
        """Whether all of the document's chunks are to be rendered."""
        return len(self.job.chunks) == len(self.job.spec.chunks)

    def images_place(self, output: Path, name: str) -> Path:
        """The folder in which a command writes images; their own names stay as they are. See `place`."""
        return self.place(output.with_name(IMAGES), name)

    def remove_leftovers(self, *, keep_images: bool = False) -> int:
        """Remove files that attempts of stopped runs of this job left; return their number.

        Args:
            keep_images: Leave folders of images, from which the chunk's next attempt takes what is whole.
        """
        directory = self.job.directory
        outputs = [directory.output(chunk.output_file) for chunk in self.job.spec.chunks]
        if self.job.output is not None:
            outputs += [self.job.output, joined_name(self.job.output)]
        return directory.remove_attempts(outputs, owner=self._owner, kept=IMAGES if keep_images else None)

    @property
    def _owner(self) -> str:
        """Names the job in the names of its attempts' files."""
        return self.key.rpartition("-")[2]
