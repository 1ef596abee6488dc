"""The inputs of a live run: their digests at its start, and whether an earlier run's output was made from the same.

RESULT STORAGE/helios-render/JOB/inputs-KEY     a list of inputs; KEY is made of its content; chunks' records name it
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from helios.job.file_digests import UNREADABLE
from helios.job.input_list import ChangeKind, InputChange, describe_changes, printable
from helios.job.inputs import MAX_BYTES, MAX_FILES, InputComparison, Inputs, take_inputs
from helios.job.side_files import SideFiles
from helios.models.images import PartialImages
from helios.models.report import ChunkResult, InputsReport
from helios.models.spec import RenderJobChunk
from tasks.prefect_api.log import RunLogger
from tasks.run.accepted import AcceptedChunks
from tasks.run.identity import RunIdentity

Dated = TypeVar("Dated", ChunkResult, PartialImages)
"""A record that says what it was rendered from."""
SHOWN_FILES, MOST_FILES = 5, 100
"""How many files a line names, and how many the report."""
LONG_SECONDS = 2.0
"""When hashing takes longer, a line says so."""


class RunInputs:
    """What a run's chunks are rendered from.

    Args:
        identity: The run.
        inputs: As they were at the run's start; None where they are not known.
        side_files: Files that the job's commands wrote.
        accepted: The job's records.
        log: The run's.
    """

    def __init__(
        self,
        identity: RunIdentity,
        inputs: Inputs | None,
        *,
        side_files: SideFiles,
        accepted: AcceptedChunks,
        log: RunLogger,
    ) -> None:
        self._identity = identity
        self._inputs = inputs
        self._side_files = side_files
        self._accepted = accepted
        self._log = log
        self._compared: dict[str, InputComparison | None] = {}
        self._reading = asyncio.Lock()
        self._changes: dict[InputChange, None] = {}
        self._noted: list[InputChange] = []
        self._again: set[int] = set()
        self._undated = 0
        self._changed_meanwhile: tuple[str, ...] = ()

    @property
    def list_key(self) -> str | None:
        """Names the list of inputs in the record of a chunk; None where the inputs are not known."""
        return None if self._inputs is None else self._inputs.listed.key

    @property
    def known_files(self) -> dict[str, tuple[str, int]]:
        """Digest and size of each input file that could be read, by its name."""
        if (inputs := self._inputs) is None:
            return {}
        return {
            name: (digest, inputs.states[name].size) for name, digest in inputs.digests.items() if digest != UNREADABLE
        }

    def digest_of(self, chunk: RenderJobChunk) -> str | None:
        """The digest of what a chunk reads, as it was at the run's start, in hexadecimal; None if it is not known."""
        return None if self._inputs is None else self._inputs.digest_of(chunk)

    async def reconcile(self, chunk: RenderJobChunk, result: Dated) -> Dated | None:
        """Compare what an output on record was rendered from with what is there now.

        Returns:
            The record, with the digest of now, if nothing that the chunk reads has changed, or if the record does not
            say what it was rendered from: that of an earlier version, once. None if the chunk is to be rendered again.
        """
        if self._inputs is None or result.inputs == self._inputs.digest_of(chunk):
            return result
        if result.inputs is None or result.input_list is None:
            self._undated += 1
        else:
            shared, own = await self._changes_since(result.input_list, chunk)
            if shared or own:
                self._note(chunk, shared, own)
                return None
        return result.model_copy(update={"inputs": self.digest_of(chunk), "input_list": self.list_key})

    async def changed_meanwhile(self) -> tuple[str, ...]:
        """The inputs that changed since the run's start. It looks at the files, and reads only those touched."""
        return () if self._inputs is None else tuple(await asyncio.to_thread(self._inputs.find_changed))

    async def look_again(self) -> None:
        """Say which inputs changed while chunks were rendered."""
        changed = await self.changed_meanwhile()
        self._changed_meanwhile = tuple(map(printable, changed[:MOST_FILES]))
        if changed:
            self._log.warning(
                "%s changed while chunks were rendered; which of them show the earlier content is not known. The next "
                "run renders again what reads %s%s", _names(list(changed)), "it" if len(changed) == 1 else "them",
                self._advice(),
            )  # fmt: skip

    def report(self, *, chunks: int, reused: int) -> InputsReport | None:
        """What changed; None when nothing did.

        Args:
            chunks: The number of the run's chunks.
            reused: How many of them were reused.
        """
        if not self._again and not self._changed_meanwhile:
            return None
        message, again = None, len(self._again)
        if self._again:
            verb = "renders" if again == 1 else "render"
            message = (
                f"{describe_changes(list(self._changes))}: {again} of {chunks} chunks {verb} again; {reused} reused"
            )
        return InputsReport(
            message=message, rendered_again=again, reused=reused, changed_meanwhile=self._changed_meanwhile
        )

    def tell(self, report: InputsReport | None) -> None:
        """Write what changed into the log, once all chunks are rendered."""
        if report is not None and report.message is not None:
            self._log.info("%s%s", report.message, self._advice() if self._were_written_by_commands() else "")
        if self._undated:
            self._log.info(
                "%d chunks were accepted without a record of their inputs, and are reused as they are",
                self._undated,
            )

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within the block, what appears in the job directory may be the commands' own."""
        with ExitStack() as stack:
            if self._inputs is not None:
                try:
                    stack.enter_context(self._side_files.note_run(self._inputs.digests, self._inputs.side_files))
                except OSError as exc:
                    self._log.warning(
                        "The inputs can't be noted in the job directory (%s): files that commands write beside their "
                        "outputs will count as inputs that are new", exc,
                    )  # fmt: skip
            yield

    def _note(self, chunk: RenderJobChunk, shared: list[InputChange], own: list[InputChange]) -> None:
        """Note a chunk that is rendered again, and why."""
        if shared is not self._noted:  # it is one list for many chunks
            self._changes.update(dict.fromkeys(shared))
            self._noted = shared
        self._changes.update(dict.fromkeys(own))
        if not self._again:
            self._log.warning("%s; the chunks that read this render again", describe_changes(list(self._changes)))
        self._again.add(chunk.id)

    async def _changes_since(self, key: str, chunk: RenderJobChunk) -> tuple[list[InputChange], list[InputChange]]:
        assert self._inputs is not None  # noqa: S101  the caller has looked
        async with self._reading:
            if key not in self._compared:
                before = await self._accepted.read_inputs(key)
                self._compared[key] = None if before is None else self._inputs.since(before)
        if (comparison := self._compared[key]) is None:
            return [InputChange("the record of the earlier inputs", ChangeKind.REMOVED, is_file=False)], []
        return comparison.changes_for(chunk)

    def _were_written_by_commands(self) -> bool:
        """Whether a file that changed did so while an earlier run went on."""
        states = self._inputs.states if self._inputs is not None else {}
        return any(
            change.is_file and change.name in states and self._side_files.is_of_a_run(states[change.name].modified_ns)
            for change in self._changes
        )

    def _advice(self) -> str:
        if self._identity.job.input_rules.patterns is not None:
            return ""
        return '. If the job\'s commands write it themselves, name the job\'s inputs ("inputs": ["scene/**"])'


async def open_inputs(identity: RunIdentity, accepted: AcceptedChunks, log: RunLogger) -> RunInputs:
    """Find and hash a run's inputs, and put their list on record.

    Raises:
        RequestError: A pattern finds nothing, or a file that was named can't be read.
    """
    rules, stop, began = identity.job.input_rules, threading.Event(), time.monotonic()

    def take() -> tuple[SideFiles, Inputs | None]:
        side_files = SideFiles(rules.directory, identity.key)
        inputs = take_inputs(rules, identity.job.spec, find_side_files=side_files.find, stop=stop)
        if inputs is not None:
            _ = inputs.listed.key  # computed here, beside the event loop
        return side_files, inputs

    work = asyncio.create_task(asyncio.to_thread(take))
    try:
        side_files, inputs = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        raise
    if inputs is None:
        log.warning(
            "%s holds more than %d files or %d GiB: changes of input files are not noticed. Name the job's inputs in "
            'its document ("inputs": ["scene/**"])', rules.directory, MAX_FILES, MAX_BYTES // 1024**3,
        )  # fmt: skip
    else:
        if (seconds := time.monotonic() - began) >= LONG_SECONDS:
            log.info("%d input files were hashed in %.1f s", len(inputs.digests), seconds)
        if inputs.side_files:
            log.info(
                "%s appeared while earlier runs of the job went on, and count as written by its commands: no inputs",
                _names(list(inputs.side_files)),
            )
        for name, place in list(inputs.outside.items())[:SHOWN_FILES]:
            log.warning(
                'What lies behind %s, a link to %s outside the job directory, is not looked at: if it changes, '
                'accepted chunks are still reused. To have it looked at, name it among the inputs ("inputs": ["%s"])',
                name, place, name,
            )  # fmt: skip
        await accepted.write_inputs(inputs.listed)
    return RunInputs(identity, inputs, side_files=side_files, accepted=accepted, log=log)


def _names(names: list[str]) -> str:
    more = len(names) - SHOWN_FILES
    return ", ".join(map(printable, names[:SHOWN_FILES])) + (f" and {more} more" if more > 0 else "")
