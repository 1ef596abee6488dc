"""The Cloud Run Admin API for jobs, over real gRPC; the containers are processes on this machine.

Gaps: only the calls that the adapter makes; permissions and quota are refused by faults alone.
"""

import asyncio
import datetime
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.cloud import run_v2
from google.longrunning import operations_pb2

from testbed.cloud.processes import ready, settings, when_caller_ends

Method = Callable[[Any], Awaitable[Any]]
State = run_v2.Condition.State


class RpcError(Exception):
    """The refusal of a call."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Jobs:
    """Jobs, their executions and their tasks.

    Args:
        wanted: `jobs` maps a job's name to the environment of its containers.
    """

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._jobs: dict[str, dict[str, str]] = wanted["jobs"]
        self.executions: dict[str, run_v2.Execution] = {}
        self._tasks: dict[str, list[run_v2.Task]] = {}
        self._processes: dict[str, list[asyncio.subprocess.Process]] = {}
        self._cancelled: set[str] = set()
        self._work: set[asyncio.Task[None]] = set()
        self.faults: dict[str, int] = {}
        self.fired: dict[str, int] = {}
        self.worked: list[float] = []

    def _take(self, kind: str) -> bool:
        if not self.faults.get(kind):
            return False
        self.faults[kind] -= 1
        self.fired[kind] = self.fired.get(kind, 0) + 1
        return True

    async def get_job(self, request: run_v2.GetJobRequest) -> run_v2.Job:
        """A job."""
        self._check(request.name)
        limits = run_v2.ResourceRequirements(limits={"cpu": "2", "memory": "4Gi"})
        task = run_v2.TaskTemplate(containers=[run_v2.Container(resources=limits)])
        return run_v2.Job(name=request.name, uid="1", template=run_v2.ExecutionTemplate(template=task))

    async def run_job(self, request: run_v2.RunJobRequest) -> operations_pb2.Operation:
        """Start an execution."""
        self._check(request.name)
        if self._take("quota"):
            raise RpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded for quota metric 'Run job requests'")
        if self._take("unavailable"):
            raise RpcError(grpc.StatusCode.UNAVAILABLE, "The service is currently unavailable.")
        overrides = request.overrides
        name = f"{request.name}/executions/{request.name.rsplit('/', 1)[1]}-{uuid.uuid4().hex[:5]}"
        execution = run_v2.Execution(
            name=name, create_time=_now(), task_count=overrides.task_count or 1,
            conditions=[run_v2.Condition(type_="Completed", state=State.CONDITION_PENDING)],
        )  # fmt: skip
        self.executions[name], self._tasks[name], self._processes[name] = execution, [], []
        arguments = list(overrides.container_overrides[0].args)
        work = asyncio.create_task(self._execute(execution, arguments, overrides.timeout.total_seconds() or 600))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        operation = operations_pb2.Operation(name=f"{request.name}/operations/{uuid.uuid4()}")
        operation.metadata.Pack(run_v2.Execution.pb(execution))
        return operation

    async def get_execution(self, request: run_v2.GetExecutionRequest) -> run_v2.Execution:
        """Return an execution with its current state."""
        return self._execution(request.name)

    async def cancel_execution(self, request: run_v2.CancelExecutionRequest) -> operations_pb2.Operation:
        """End an execution: SIGTERM, and ten seconds later SIGKILL."""
        execution = self._execution(request.name)
        self.fired["cancelled"] = self.fired.get("cancelled", 0) + 1
        self._cancelled.add(execution.name)
        for process in self._processes[execution.name]:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                asyncio.get_running_loop().call_later(10, _kill, process)
        operation = operations_pb2.Operation(name=f"{request.name}/operations/{uuid.uuid4()}", done=True)
        operation.response.Pack(run_v2.Execution.pb(execution))
        return operation

    async def list_tasks(self, request: run_v2.ListTasksRequest) -> run_v2.ListTasksResponse:
        """The tasks of an execution."""
        return run_v2.ListTasksResponse(tasks=self._tasks[self._execution(request.parent).name])

    def close(self) -> None:
        """End every container."""
        for processes in self._processes.values():
            for process in processes:
                _kill(process)

    def _check(self, name: str) -> None:
        if name not in self._jobs:
            raise RpcError(
                grpc.StatusCode.NOT_FOUND, f"Resource '{name.rsplit('/', 1)[1]}' of kind 'JOB' does not exist."
            )
        if self._take("deny"):
            raise RpcError(
                grpc.StatusCode.PERMISSION_DENIED, "Permission 'run.jobs.runWithOverrides' denied on resource"
            )

    def _execution(self, name: str) -> run_v2.Execution:
        if name not in self.executions:
            raise RpcError(grpc.StatusCode.NOT_FOUND, f"Resource '{name}' was not found")
        return self.executions[name]

    async def _execute(self, execution: run_v2.Execution, arguments: list[str], timeout: float) -> None:
        await asyncio.gather(
            *(self._task(execution, index, arguments, timeout) for index in range(execution.task_count))
        )
        execution.completion_time = _now()
        all_rendered = execution.succeeded_count == execution.task_count
        ended: Any = State.CONDITION_SUCCEEDED if all_rendered else State.CONDITION_FAILED
        execution.conditions[0].state = ended

    async def _task(self, execution: run_v2.Execution, index: int, arguments: list[str], timeout: float) -> None:
        task = run_v2.Task(name=f"{execution.name}/tasks/{index}", index=index, create_time=_now())
        self._tasks[execution.name].append(task)
        code = -9
        if execution.name not in self._cancelled:
            code = await self._container(execution, index, arguments, timeout)
        result = run_v2.TaskAttemptResult(**({"exit_code": code} if code >= 0 else {"term_signal": -code}))
        result.status.message = "" if code == 0 else "The container exited with an error."
        task.last_attempt_result, task.completion_time = result, _now()
        if code == 0:
            execution.succeeded_count += 1
        elif execution.name in self._cancelled:
            execution.cancelled_count += 1
        else:
            execution.failed_count += 1

    async def _container(self, execution: run_v2.Execution, index: int, arguments: list[str], timeout: float) -> int:
        job = execution.name.split("/executions/")[0]
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "helios.worker", *arguments, cwd=folder, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "HELIOS_FOLDER": folder,
                     "CLOUD_RUN_JOB": job.rsplit("/", 1)[1], "CLOUD_RUN_TASK_INDEX": str(index), **self._jobs[job]},
            )  # fmt: skip
            self._processes[execution.name].append(process)
            if self._take("kill"):
                asyncio.get_running_loop().call_later(1.0, _kill, process)
            began = time.monotonic()
            try:
                return await asyncio.wait_for(process.wait(), timeout)
            except TimeoutError:
                _kill(process)
                return await process.wait()
            finally:
                self.worked.append((time.monotonic() - began) * 1000)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _handler(method: Method, request: Any) -> Any:
    async def call(message: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await method(message)
        except RpcError as exc:
            await context.abort(exc.code, exc.message)

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request.deserialize,
        response_serializer=lambda answer: (
            type(answer).serialize(answer) if hasattr(type(answer), "serialize") else answer.SerializeToString()
        ),
    )


async def serve(wanted: dict[str, Any]) -> None:
    """Serve until the caller ends."""
    jobs = Jobs(wanted)
    server = grpc.aio.server()
    calls: dict[str, dict[str, tuple[Method, Any]]] = {
        "Jobs": {"GetJob": (jobs.get_job, run_v2.GetJobRequest), "RunJob": (jobs.run_job, run_v2.RunJobRequest)},
        "Executions": {
            "GetExecution": (jobs.get_execution, run_v2.GetExecutionRequest),
            "CancelExecution": (jobs.cancel_execution, run_v2.CancelExecutionRequest),
        },
        "Tasks": {"ListTasks": (jobs.list_tasks, run_v2.ListTasksRequest)},
    }
    for service, methods in calls.items():
        handlers = {name: _handler(method, request) for name, (method, request) in methods.items()}
        generic = grpc.method_handlers_generic_handler(f"google.cloud.run.v2.{service}", handlers)
        server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    controls = await asyncio.start_server(lambda reader, writer: _control(reader, writer, jobs), "127.0.0.1", 0)
    control_port = controls.sockets[0].getsockname()[1]
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    when_caller_ends(lambda: loop.call_soon_threadsafe(ended.set))
    ready(endpoint=f"http://127.0.0.1:{port}", url=f"http://127.0.0.1:{control_port}")
    await ended.wait()
    jobs.close()
    await server.stop(0)


async def _control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, jobs: Jobs) -> None:
    """Answer a request for the controls, which the HTTP stand-ins have, too: POST /faults, GET /state."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")), 0)
    if length:
        wanted = json.loads(await reader.readexactly(length))
        jobs.faults[wanted["kind"]] = wanted["times"]
    state = {"fired": jobs.fired, "seen": {"executions": len(jobs.executions)}, "worked": jobs.worked}
    body = json.dumps(state).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(settings()))
