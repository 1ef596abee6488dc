"""The handler of an AWS Lambda function: `helios.worker.aws_lambda.handler`."""

import asyncio
import os
import sys
from typing import Any, Protocol

from helios.job.attempts import write_answer
from helios.models.invocation import ChunkAnswer
from helios.processes.own_memory import hide_memory
from helios.variables import misspelt
from helios.worker.failures import failure_of
from helios.worker.http import status_of
from helios.worker.runtime import WorkerRuntime, read_request
from helios.worker.settings import VARIABLES, WorkerSettings


class LambdaContext(Protocol):
    """What the handler needs of the context that Lambda hands over."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the platform ends the invocation."""
        ...


hide_memory()  # the function's credentials are in its environment
_runtime: WorkerRuntime | None = None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Render one chunk.

    Args:
        event: A request, or an HTTP event that carries one as its body.
        context: Lambda's.

    Returns:
        `{"statusCode", "body"}`, the body being the answer as JSON.
    """
    global _runtime
    try:
        if _runtime is None:
            for line in misspelt(os.environ, lambda: VARIABLES):
                print(line, file=sys.stderr)  # noqa: T201  the function's log
            _runtime = WorkerRuntime(WorkerSettings.from_environment())
        request = read_request(event)
        remaining = context.get_remaining_time_in_millis() / 1000
        return respond(asyncio.run(_runtime.run(request, remaining_seconds=remaining)))
    except Exception as exc:  # noqa: BLE001  whoever asked gets an answer
        return respond(ChunkAnswer.failed(failure_of(exc)))


def respond(answer: ChunkAnswer) -> dict[str, Any]:
    """Put an answer into the shape of Lambda's HTTP integrations."""
    return {
        "statusCode": status_of(answer),
        "headers": {"content-type": "application/json"},
        "body": write_answer(answer).decode(),
    }
