"""Functions of the package `farm` that act on runs: submit, cancel, pause, resume, … See docs/api.md."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient

from adapters import AdapterChoice
from farm import runs
from farm.batch_rows import runs_below
from farm.budgets import with_budget
from farm.dead_runs import mark_dead_runs
from farm.deletion import delete_run, refuse_unended
from farm.deployments import submit_run
from farm.finding import Run, find, opened
from farm.leftovers import remove_leftovers
from farm.masked import complete_parameters, refuse_secrets
from farm.runs import Resumed, RunStatus
from helios.errors import RequestError
from helios.job.kept_document import is_large, keep_document
from helios.job.source import is_url
from helios.models.report import RunState
from helios.storage.urls import is_storage_url
from tasks.prefect_api.states import ENDED
from tasks.run.priority import with_priority
from tasks.run.progress import Progress
from tasks.run.submitter import submitted_here


async def submit(
    job: str | os.PathLike[str] | Mapping[str, Any],
    *,
    deployment: str = "local",
    queue: str | None = None,
    priority: str | None = None,
    client: PrefectClient | None = None,
    **parameters: Any,
) -> RunStatus:
    """Give a job to the workers of a deployment.

    Args:
        job: Path or URL of a job document, or the document itself. Paths must mean the same on the worker's machine. A
            document of more than 256 KiB is kept in a file in the job directory: `job_dir`, else this process's own.
        deployment: Its name, as in `render-job/local`, or `local` alone.
        queue: The work queue: runs of one start before runs of those behind it. By default the deployment's.
        priority: As `set_priority` takes it. By default that of its queue.
        client: Prefect's, if one is open already.
        parameters: The other parameters of the flow `render_job`, such as `output_file`, `adapter` and `concurrency`;
            the deployment has the others.

    Returns:
        The run, which waits for a worker.

    Raises:
        RequestError: There is no such deployment, a parameter is refused, or the adapter's settings hold secrets.
    """
    refuse_secrets([parameters.get("adapter"), parameters.get("merge_adapter")])
    given = {"job": _located(job), **parameters}
    if isinstance(given["job"], Mapping) and is_large(given["job"]):
        directory = Path(given.get("job_dir") or os.getcwd()).absolute()
        given |= {"job": str(keep_document(given["job"], directory)), "job_dir": str(directory)}
    async with opened(client) as prefect:
        await mark_dead_runs(prefect)
        tags = () if priority is None else with_priority((), priority)
        run = await submit_run(prefect, deployment, given, queue=queue, tags=submitted_here(tags))
    return RunStatus(run, RunState.PENDING)


async def cancel(run: Run, *, client: PrefectClient | None = None) -> RunStatus:
    """Stop a run: nothing new starts, and its process ends its chunks and itself. What is accepted stays.

    A batch's run is stopped with its rows.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        The run; `wait` waits until it has ended.

    Raises:
        RequestError: It has ended, or there is no such run.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        await runs.cancel_run(prefect, found)
        return await runs.find_job_or_batch(prefect, found.id)


async def pause(run: Run, *, client: PrefectClient | None = None) -> RunStatus:
    """Let a run's chunks in flight finish, and start nothing new until it is resumed.

    Of a batch, the rows that render pause within some seconds, and no new row starts.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        The run.

    Raises:
        RequestError: It does not render, or there is no such run.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        await runs.pause_run(prefect, found)
        return await runs.find_job_or_batch(prefect, found.id)


async def set_priority(run: Run, priority: str, *, client: PrefectClient | None = None) -> RunStatus:
    """Give a run another share of the limits that other runs want as well. A running one heeds it within seconds.

    Args:
        run: Its id or its name.
        priority: `urgent` (16), `default` (4), `background` (1), or a weight from 1 to 1000.
        client: Prefect's, if one is open already.

    Returns:
        The run.

    Raises:
        RequestError: There is no such priority or no such run, or it has ended.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run, jobs_alone=True)
        if found.state in ENDED:
            raise RequestError(f"The run {found.name} is {found.state}: its priority would change nothing")
        await prefect.update_flow_run(found.run.id, tags=with_priority(found.run.tags, priority))
        return await runs.find_run(prefect, found.id)


async def resume(
    run: Run,
    *,
    adapter: AdapterChoice | None = None,
    budget: float | None = None,
    tell: Callable[[Progress], None] | None = None,
    client: PrefectClient | None = None,
) -> Resumed:
    """Let a run go on where it stopped, whatever stopped it: accepted chunks that are still there are reused.

    Rows that a batch has completed are left out.

    A run without a deployment has no worker. This process carries it out, and `resume` returns at its end; cancelling
    the awaiting task cancels the job.

    Args:
        run: Its id or its name.
        adapter: For a run that is carried out here: takes the place of its adapter, of which Prefect keeps no secrets.
        budget: Takes the place of its budget; what it has spent counts.
        tell: For a job that is carried out here: called with its counts on every change.
        client: Prefect's, if one is open already.

    Returns:
        How it goes on. `status` says how a run ended that was carried out here.

    Raises:
        RequestError: It runs, or waits for a worker; its adapter had secrets, and `adapter` is not given; it has spent
            the budget already; or there is no such run.
    """
    return await _go_on(run, runs.resume_run, adapter=adapter, budget=budget, tell=tell, client=client)


async def retry(
    run: Run,
    *,
    adapter: AdapterChoice | None = None,
    tell: Callable[[Progress], None] | None = None,
    client: PrefectClient | None = None,
) -> Resumed:
    """Run a run that has ended once more, as Retry in Prefect's UI does: accepted chunks are reused.

    Args:
        run: Its id or its name.
        adapter: As for `resume`.
        tell: As for `resume`.
        client: Prefect's, if one is open already.

    Returns:
        How it goes on, as of `resume`.

    Raises:
        RequestError: It has not ended; its adapter had secrets, and `adapter` is not given; or there is no such run.
    """
    return await _go_on(run, runs.retry_run, adapter=adapter, tell=tell, client=client)


async def delete(run: Run, *, client: PrefectClient | None = None) -> list[str]:
    """Remove a run that has ended from Prefect, and what it left in storage. Its video and its chunks stay.

    A batch's run is removed with those of its rows, and an encode's with that of its job.

    Args:
        run: Its id or its name.
        client: Prefect's, if one is open already.

    Returns:
        What was removed beside it, and what could not be, a line each.

    Raises:
        RequestError: It has not ended, or a run below it has not, or there is no such run.
    """
    async with opened(client) as prefect:
        found = await find(prefect, run)
        if not (found.is_batch or found.is_encode):
            await delete_run(prefect, found)
            return await remove_leftovers(prefect, found.run)
        await refuse_unended(prefect, found)
        below = [await runs.find_run(prefect, str(one.id)) async for one in runs_below(prefect, found.run)]
        for one in below:
            await refuse_unended(prefect, one)
        said = []
        for one in below:
            await delete_run(prefect, one)
            said.append(f"{one.name} ({one.id}) is deleted, too")
            said += await remove_leftovers(prefect, one.run)
        await delete_run(prefect, found)
        return said


async def _go_on(
    run: Run,
    how_to: Callable[[PrefectClient, RunStatus], Awaitable[Resumed]],
    *,
    adapter: AdapterChoice | None,
    budget: float | None = None,
    tell: Callable[[Progress], None] | None,
    client: PrefectClient | None,
) -> Resumed:
    async with opened(client) as prefect:
        found = await find(prefect, run)
        if adapter is not None and found.run.deployment_id is not None:
            raise RequestError(f"The run {found.name} is a deployment's, whose worker has the adapter's settings; "
                               "leave adapter out")  # fmt: skip
        if budget is not None:
            found = await with_budget(prefect, found, budget)
        parameters = complete_parameters(found.run.parameters, adapter=adapter)
        how = await how_to(prefect, found)
    if how is Resumed.HERE and found.is_batch:
        from farm.batches import carry_out_rows  # imports all that renders

        await carry_out_rows(found.run, parameters)
    elif how is Resumed.HERE:
        from farm.here import carry_out  # imports all that renders

        await carry_out(found.run, parameters, tell=tell)
    return how


def _located(job: str | os.PathLike[str] | Mapping[str, Any]) -> str | dict[str, Any]:
    """A job as the flow takes it: paths are absolute, since a worker has another working directory."""
    if isinstance(job, Mapping):
        return dict(job)
    name = os.fspath(job)
    return name if is_url(name) or is_storage_url(name) else os.path.abspath(name)
