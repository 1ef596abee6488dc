"""Executions of a Cloud Run job: which chunks become their tasks, how they are watched, and how they are cancelled."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapters.cloud_run_size import size_of
from adapters.google import translate
from adapters.remote import AnswerLostError
from helios.bounded import map_bounded
from helios.errors import HeliosError, WorkerUnavailableError
from helios.job.attempts import AttemptRecord
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.storage.folder import Storage
from helios.usage import WorkerSize

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import run_v2

BATCHES = "batches"
FIRST_GATHER_SECONDS = 0.2
"""How long to gather chunks while nothing runs: a job's first chunks come within milliseconds."""
LOOKS_AT_ONCE = 32
LATE_SECONDS = 5.0
"""How long after an execution's end an answer may still show in storage."""
CALL_SECONDS = 60.0
"""Time limit of a call of the API."""


@dataclass(eq=False)
class Ticket:
    """A chunk that waits for its answer."""

    request: ChunkRequest
    """What the worker is to do."""
    record: AttemptRecord
    """Where it answers."""
    answer: asyncio.Future[ChunkAnswer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Done when the chunk is."""
    called_off: bool = False
    """Whether the caller has given the chunk up."""
    execution: _Execution | None = None
    """Which execution it is a task of; None while it waits for one."""

    def fail(self, error: Exception) -> None:
        """End it with an error, unless it has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # read here, so that asyncio does not warn if the caller has gone


@dataclass(eq=False)
class _Execution:
    """Several chunks as tasks."""

    tickets: list[Ticket]
    name: str = ""
    failed_tasks: int = 0

    @property
    def open(self) -> list[Ticket]:
        return [ticket for ticket in self.tickets if not ticket.answer.done()]


class Executions:
    """The executions of one job.

    Args:
        job: Its resource name.
        storage: Where batches are kept.
        credentials: For the API; None with a plain endpoint.
        endpoint: Of the API; Google's own when None.
        task_timeout_seconds: Of each task.
        tasks_per_execution: The most chunks of an execution.
        gather_seconds: How long to gather chunks while others run.
        poll_seconds: Between two looks for answers.
    """

    def __init__(
        self,
        job: str,
        *,
        storage: Storage,
        credentials: Credentials | None,
        endpoint: str | None,
        task_timeout_seconds: int,
        tasks_per_execution: int,
        gather_seconds: float,
        poll_seconds: float,
    ) -> None:
        self._job = job
        self._storage = storage
        self._credentials = credentials
        self._endpoint = endpoint
        self._task_timeout = task_timeout_seconds
        self._most = tasks_per_execution
        self._gather = gather_seconds
        self._poll = poll_seconds
        self._waiting: list[Ticket] = []
        self._full = asyncio.Event()
        self._launcher: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._clients: _Clients | None = None

    async def answer(self, ticket: Ticket) -> ChunkAnswer:
        """Put a chunk into an execution and wait for its answer."""
        self._waiting.append(ticket)
        if len(self._waiting) >= self._most:
            self._full.set()
        if self._launcher is None or self._launcher.done():
            self._launcher = asyncio.create_task(self._launch_waiting())
        return await ticket.answer

    async def call_off(self, ticket: Ticket) -> None:
        """Stop a chunk: its whole execution, if all other chunks of it have ended or are stopped too; else its task."""
        ticket.called_off = True
        execution = ticket.execution
        if execution is None:
            ticket.fail(WorkerUnavailableError("The chunk was cancelled before an execution was started"))
        elif execution.name and all(other.called_off for other in execution.open):
            with self._errors():
                await self._api().executions.cancel_execution(name=execution.name, retry=None, timeout=CALL_SECONDS)
        else:
            await ticket.record.cancel()

    async def describe_job(self) -> str:
        """Describe the job in words."""
        with self._errors():
            job = await self._api().jobs.get_job(name=self._job, timeout=CALL_SECONDS)
        template = job.template.template
        retries = f"; set its retries to 0, they are {template.max_retries}" if template.max_retries else ""
        return f"{job.name} is there; at most {job.template.parallelism or 'as many as fit'} tasks at a time{retries}"

    async def worker_size(self) -> WorkerSize:
        """CPUs and memory of the job's container, as far as the job states them; and its region."""
        with self._errors():
            job = await self._api().jobs.get_job(name=self._job, timeout=CALL_SECONDS)
        return size_of(job)

    async def _launch_waiting(self) -> None:
        """Start executions until nothing waits."""
        while self._waiting:
            self._full.clear()
            if len(self._waiting) < self._most:
                with suppress(TimeoutError):
                    seconds = self._gather if self._watchers else FIRST_GATHER_SECONDS
                    await asyncio.wait_for(self._full.wait(), seconds)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            tickets = [ticket for ticket in batch if not ticket.answer.done()]
            if tickets:
                watcher = asyncio.create_task(self._carry_out(tickets))
                self._watchers.add(watcher)
                watcher.add_done_callback(self._watchers.discard)

    async def _carry_out(self, tickets: list[Ticket]) -> None:
        """Run an execution to its end, and make sure that every ticket ends."""
        execution = _Execution(tickets)
        for ticket in tickets:
            ticket.execution = execution
        key = f"{BATCHES}/{uuid.uuid4().hex}.json"
        try:
            requests = [ticket.request.model_dump(mode="json", exclude_none=True) for ticket in tickets]
            await self._storage.write(key, json.dumps(requests).encode())
            execution.name = await self._start(self._storage.url_of(key), count=len(tickets))
            if all(ticket.called_off for ticket in tickets):
                await self.call_off(tickets[0])  # they were called off meanwhile
            await self._watch(execution)
        except Exception as exc:  # noqa: BLE001  each ticket has a caller that waits, whatever went wrong
            error = exc if isinstance(exc, HeliosError) else WorkerUnavailableError(f"{type(exc).__name__}: {exc}")
            for ticket in execution.open:
                ticket.fail(error)
                with suppress(HeliosError):
                    await ticket.record.cancel()  # the call may have started it all the same
        finally:
            with suppress(HeliosError):
                await self._storage.delete(key)

    async def _start(self, batch_url: str, *, count: int) -> str:
        """Start an execution; return its resource name."""
        from google.cloud import run_v2

        overrides = run_v2.RunJobRequest.Overrides(
            container_overrides=[run_v2.RunJobRequest.Overrides.ContainerOverride(args=["batch", batch_url])],
            task_count=count,
            timeout={"seconds": self._task_timeout},
        )
        with self._errors():
            operation = await self._api().jobs.run_job(
                run_v2.RunJobRequest(name=self._job, overrides=overrides), retry=None, timeout=CALL_SECONDS
            )
        return str(operation.metadata.name)

    async def _watch(self, execution: _Execution) -> None:
        """Take answers out of storage until the execution has ended and every ticket has one."""
        loop = asyncio.get_running_loop()
        ended_at: float | None = None
        while execution.open:
            await map_bounded(self._look, execution.open, limit=LOOKS_AT_ONCE)
            if not execution.open:
                return
            if ended_at is not None and loop.time() > ended_at + LATE_SECONDS:
                await self._give_up_failed_tasks(execution, ended=True)
                return
            if ended_at is None:
                state = await self._state(execution)
                if state is not None and state.failed_count + state.cancelled_count > execution.failed_tasks:
                    execution.failed_tasks = state.failed_count + state.cancelled_count
                    await map_bounded(self._look, execution.open, limit=LOOKS_AT_ONCE)
                    await self._give_up_failed_tasks(execution, ended=False)
                if state is not None and state.completion_time:
                    ended_at = loop.time()
            await asyncio.sleep(self._poll if ended_at is None else min(self._poll, 0.5))

    async def _look(self, ticket: Ticket) -> None:
        try:
            if (answer := await ticket.record.result()) is not None and not ticket.answer.done():
                ticket.answer.set_result(answer)
        except HeliosError as exc:
            if not isinstance(exc, WorkerUnavailableError):  # storage that is away for a moment comes back
                ticket.fail(exc)

    async def _state(self, execution: _Execution) -> run_v2.Execution | None:
        """The state of an execution; None while the API can't be reached."""
        try:
            with self._errors():
                state: run_v2.Execution = await self._api().executions.get_execution(
                    name=execution.name, timeout=CALL_SECONDS
                )
                return state
        except WorkerUnavailableError:
            return None

    async def _give_up_failed_tasks(self, execution: _Execution, *, ended: bool) -> None:
        """End the tickets whose tasks ended without an answer, in the platform's words."""
        with self._errors():
            pages = await self._api().tasks.list_tasks(parent=execution.name, timeout=CALL_SECONDS)
            tasks = {task.index: task async for task in pages}
        for index, ticket in enumerate(execution.tickets):
            task = tasks.get(index)
            if not ticket.answer.done() and (ended or (task is not None and task.completion_time)):
                ticket.fail(AnswerLostError(f"{execution.name}, task {index}: {_how_it_ended(task)}"))

    def _api(self) -> _Clients:
        """The API's clients, opened in the event loop that uses them."""
        if self._clients is None:
            self._clients = _Clients(self._credentials, self._endpoint)
        return self._clients

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from google.api_core.exceptions import GoogleAPICallError
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except GoogleAPICallError as exc:
            raise translate(exc, what=self._job) from exc
        except GoogleAuthError as exc:
            raise WorkerUnavailableError(f"No access token for {self._job}: {exc}") from exc


class _Clients:
    """Clients for jobs, executions and tasks."""

    def __init__(self, credentials: Credentials | None, endpoint: str | None) -> None:
        from google.cloud import run_v2

        self.jobs: Any = _client(run_v2.JobsAsyncClient, credentials, endpoint)
        self.executions: Any = _client(run_v2.ExecutionsAsyncClient, credentials, endpoint)
        self.tasks: Any = _client(run_v2.TasksAsyncClient, credentials, endpoint)


def _client(client: Any, credentials: Credentials | None, endpoint: str | None) -> Any:
    if endpoint and endpoint.startswith("http://"):
        import grpc.aio

        transport = client.get_transport_class("grpc_asyncio")
        return client(transport=transport(channel=grpc.aio.insecure_channel(endpoint.removeprefix("http://"))))
    return client(credentials=credentials, client_options={"api_endpoint": endpoint} if endpoint else None)


def _how_it_ended(task: run_v2.Task | None) -> str:
    if task is None or not task.completion_time:
        return "ended without an answer"
    last = task.last_attempt_result
    how = f"signal {last.term_signal}" if last.term_signal else f"exit code {last.exit_code}"
    return f"ended with {how} and without an answer: {last.status.message or 'no reason is given'}"
