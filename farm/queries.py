"""Functions of the package `farm` that look at runs: list, state, progress, log, end. See docs/api.md."""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Log

from farm import runs, waiting, watch
from farm.batch_reports import report_of_rows
from farm.batch_rows import BatchStatus, find_batch
from farm.dead_runs import mark_dead_runs
from farm.finding import Run, find, opened, with_chunks
from farm.runs import Order, RunStatus
from farm.watch import ChunkStatus
from helios.errors import RequestError
from helios.models.batch import BatchReport
from helios.models.report import JobReport, RunState
from tasks.run.progress import Progress


async def list_runs(
    *,
    states: Collection[RunState] = (),
    name: str | None = None,
    order: Order = Order.NEWEST,
    planned: bool = False,
    limit: int = 20,
    offset: int = 0,
    client: PrefectClient | None = None,
) -> list[RunStatus]:
    """List runs of jobs.

    Args:
        states: List runs in these states; by default in any state.
        name: List runs with this text in their names.
        order: The order of the list.
        planned: Also list runs that schedules have planned for later.
        limit: List at most this many runs, 1 to 200.
        offset: Leave out this many runs before them.
        client: Prefect's, if one is open already.

    Returns:
        The runs, in order.
    """
    async with opened(client) as prefect:
        await mark_dead_runs(prefect)
        found = await runs.list_runs(
            prefect, states=states, name=name, order=order, planned=planned, limit=limit, offset=offset
        )
        progress = await watch.read_progress_of(prefect, [one.run for one in found])
        return [replace(one, progress=progress.get(one.run.id)) for one in found]


async def status(run: Run, *, client: PrefectClient | None = None) -> RunStatus:
    """Say where a run stands.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        Its state and its process, as Prefect has them now.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        return await find(prefect, run)


async def batch_status(name: str, *, client: PrefectClient | None = None) -> BatchStatus | None:
    """Say where a batch and its rows stand.

    Args:
        name: The id of the batch's run, or its name.
        client: Prefect's, if one is open already.

    Returns:
        The rows that have begun, and their states; None if there is no such batch.

    Raises:
        RequestError: There are several of that name.
    """
    async with opened(client) as prefect:
        await mark_dead_runs(prefect)
        return await find_batch(prefect, name)


async def batch_report(run: Run, *, client: PrefectClient | None = None) -> BatchReport:
    """Read what became of a batch's rows, also of one that failed or was stopped.

    Args:
        run: The batch's id or its name.
        client: Prefect's, if one is open already.

    Returns:
        The rows that have begun, with their videos where result storage is at hand.

    Raises:
        RequestError: There is no such run, or it is not a batch's.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        if not found.is_batch:
            raise RequestError(f"The run {found.name} is not a batch's; helios-job status shows what it is")
        return await report_of_rows(prefect, found)


async def progress(run: Run, *, client: PrefectClient | None = None) -> Progress | None:
    """Say how far a run is.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        Its counts, up to two seconds old; None if it has not begun to render.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        return await watch.read_progress(prefect, (await with_chunks(prefect, run)).run)


async def chunks(run: Run, *, client: PrefectClient | None = None) -> list[ChunkStatus]:
    """Say where a run's chunks stand.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        The chunks that have begun, and the join, in the order in which they began.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        return await watch.read_chunks(prefect, (await with_chunks(prefect, run)).run)


async def why_waiting(run: Run, *, client: PrefectClient | None = None) -> str | None:
    """Say why a run that is to begin has not begun, and how to fix it.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        A line; None for a run that does not wait.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        return await waiting.why_waiting(prefect, (await find(prefect, run)).run)


async def report(run: Run, *, client: PrefectClient | None = None) -> JobReport | None:
    """Read the report of a run that has ended.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        What became of the job's chunks and its video; None for a run that has not ended, that ended before it rendered
        or whose process was killed, and where its result storage is not at hand.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        return await watch.read_report(found.run) or await watch.read_report((await with_chunks(prefect, found)).run)


async def wait(
    run: Run, *, tell: Callable[[Progress], None] | None = None, client: PrefectClient | None = None
) -> RunStatus:
    """Wait until a run has ended, its process included.

    Args:
        run: Its id or its name.
        tell: Called with its counts, twice a second.
        client: Prefect's, if one is open already.

    Returns:
        The run as it ended.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        return await watch.wait_for_run(prefect, found, tell=tell or (lambda _: None))


async def logs(
    run: Run, *, level: int = 0, follow: bool = False, client: PrefectClient | None = None
) -> AsyncIterator[Log]:
    """Read what a run and its chunks have logged; of a batch, also its rows' runs, and of an encode its job's.

    Args:
        run: Its id or its name.
        level: The least level, as Python's logging counts.
        follow: Go on until the run has ended.
        client: Prefect's, if one is open already.

    Yields:
        The records, in order of time: `timestamp`, `level`, `message`.

    Raises:
        RequestError: There is no such run, or there are several of that name.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        async for line in watch.read_log(prefect, found, level=level, follow=follow):
            yield line
