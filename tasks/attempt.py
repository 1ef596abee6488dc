"""One execution of a chunk's command, from the site's order to the file: for a chunk's attempts and for its audit."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger

from helios.errors import CommandError, HeliosError
from helios.job.held_path import LinkedFolderError
from helios.job.own_outputs import SetAside
from helios.models.verification import VerifyLevel
from helios.models.worker import WorkerJob, WorkerResult
from helios.processes.command_output import explain_exit
from helios.processes.log_watch import watched
from tasks.prefect_api.log import OUTPUT
from tasks.request.prepared_places import PreparedPlace
from tasks.run.chunk_log import chunk_log
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.making_way import make_way
from tasks.run.run import Run
from tasks.site import Attempt


def describe(
    record: ChunkRecord,
    run: Run,
    *,
    number: int,
    name: str,
    avoid_worker: str | None = None,
    part: tuple[int, int] | None = None,
) -> Attempt:
    """An attempt of a chunk, for the site.

    Args:
        record: The chunk's.
        run: The job's run.
        number: Tells executions of the chunk apart, at the site and at the adapter.
        name: Likewise, in the name of its file.
        avoid_worker: The worker that should not run it, where the adapter can choose.
        part: The first frame and the number of frames, where not all of the chunk's images are wanted.
    """
    identity, directory = run.identity, run.identity.job.directory
    output = directory.output(record.chunk.output_file)
    if output.parent != directory.path:
        run.outputs.make_folder(output.parent)
    place = identity.place if record.chunk.images is None else identity.images_place
    return Attempt(
        chunk=record.chunk,
        position=record.position,
        number=number,
        output=output,
        # By the id, names that differ in their ends alone differ: an end may be cut off, or is no part of the stem.
        private=place(output, f"{record.chunk.id}-{name}"),
        timeout_seconds=identity.policy.timeout_seconds,
        stall_seconds=identity.policy.stall_seconds,
        level=identity.job.level,
        avoid_worker=avoid_worker,
        part=part,
    )


@dataclass(frozen=True)
class Rendered:
    """What an attempt has left on this machine, not verified here."""

    place: Path
    """The file; whoever gets this removes it (`discard`), or gives it its name."""
    output: Path
    """Its name once it is accepted."""
    run: Run
    """Knows the further files that the command named after it."""
    earlier: SetAside | None
    """What had the output's name, where the command writes to the output itself."""
    ended: WorkerResult
    """How the command ended."""
    adapter: str
    """The name of its adapter."""
    done: VerifyLevel
    """The level at which the worker has verified the file."""
    fetch_ms: int
    """Time to fetch it from storage; 0 where the worker wrote it here."""

    def discard(self) -> None:
        """Remove what the attempt wrote, and give what was there before its name back."""
        _discard(self.place, self.output, self.run, self.earlier)


async def render_once(attempt: Attempt, run: Run, *, at: PreparedPlace, log: Path, times: AttemptTimes) -> Rendered:
    """Have a chunk's command run once at a place, and bring its output here.

    Args:
        attempt: What is rendered.
        run: The job's run.
        at: Where it is rendered.
        log: The file for what the command prints.
        times: Gets the times of what happens.

    Raises:
        HeliosError: There is no output, and no file left.
    """
    clock = run.progress
    order = await at.site.order(attempt)
    earlier = None
    if order.place == attempt.output:  # the command would write over whatever has that name
        earlier = make_way(order.place, run.outputs, get_run_logger())
        with run.outputs.held(order.place) as held:
            held.unlink(missing_ok=True)
    try:
        times.started = clock.seconds
        ended = await execute(attempt, order.job, run, at=at, log=log, times=times)
        times.answer(clock.seconds, ended)
        if ended.exit_code != 0:
            raise CommandError(explain_exit(os.path.basename(order.job.command), ended))
        collecting = time.monotonic()
        with run.outputs.held(order.place) as held:
            done = await at.site.collect(ended, held)
        times.fetched, fetch_ms = clock.seconds, round((time.monotonic() - collecting) * 1000)
    except BaseException as exc:
        if isinstance(exc, HeliosError):
            times.fail(exc)
        _discard(order.place, attempt.output, run, earlier)
        raise
    return Rendered(order.place, attempt.output, run, earlier, ended, at.adapter_name, done, fetch_ms)


def _discard(place: Path, output: Path, run: Run, earlier: SetAside | None) -> None:
    with suppress(LinkedFolderError, FileNotFoundError):  # else it is not where it can be removed
        with run.outputs.held(place) as held:
            if held.is_dir() and not held.is_symlink():  # where a file was expected
                shutil.rmtree(held, ignore_errors=True)
            else:
                held.unlink(missing_ok=True)
        run.companions.remove(place, output)
    if earlier is not None:
        with suppress(OSError):  # the log says where it is
            earlier.put_back()


async def execute(
    attempt: Attempt, job: WorkerJob, run: Run, *, at: PreparedPlace, log: Path, times: AttemptTimes
) -> WorkerResult:
    """Have the command run, and look at what it prints: also where a worker has done so, which may be an older one."""
    logger = get_run_logger()
    adapter, rules = at.adapter, run.identity.job.spec.log_rules

    def show(line: str) -> None:
        logger.info("%s", line, extra=OUTPUT)

    with chunk_log(log, show, run.log_lines, root=run.identity.job.directory.path) as sink:
        if rules is None:
            return await adapter.execute(job, on_output=sink)
        try:
            async with watched(
                rules,
                name=os.path.basename(job.command),
                chunk=attempt.chunk,
                sink=sink,
                on_progress=lambda done: None if times.is_hedge else run.progress.advance(times, done),
                on_warning=lambda line: logger.warning("%s", line),
            ) as watch:
                ended = await adapter.execute(job, on_output=watch)
        finally:
            run.progress.advance(times, 0)
        return watch.checked(ended)
