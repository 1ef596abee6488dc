"""Render chunks from a shell or in a container.

python -m helios.worker chunk JOB INDEX [--attempt-url URL] [--timeout S]
python -m helios.worker batch URL [INDEX]
python -m helios.worker serve [--host H] [--port N]

A batch is a JSON array of requests; INDEX is $CLOUD_RUN_TASK_INDEX or $AWS_BATCH_JOB_ARRAY_INDEX if not given.

The answer is one line of JSON on standard output. Exit codes: 0 rendered, 1 not, 2 the request was refused.
"""

import argparse
import asyncio
import os
import re
import signal
import sys

from helios.bounded_json import read_json
from helios.errors import HeliosError, RequestError, RetryBudget
from helios.job.attempts import write_answer
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.processes.own_memory import hide_memory
from helios.storage.by_url import storage_root
from helios.variables import misspelt
from helios.worker.failures import failure_of
from helios.worker.runtime import WorkerRuntime, read_request
from helios.worker.settings import VARIABLES, WorkerSettings

INDEX_VARIABLES = ("CLOUD_RUN_TASK_INDEX", "AWS_BATCH_JOB_ARRAY_INDEX")
MAX_BATCH_BYTES = 16 * 1024 * 1024


def main() -> None:
    """Carry out the command line."""
    hide_memory()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a closed terminal; nohup ignores it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    words = _parse()
    for line in misspelt(os.environ, lambda: VARIABLES):
        print(f"helios.worker: {line}", file=sys.stderr)  # noqa: T201  the platform's log
    if words.action == "serve":
        _serve(words)
        return
    answer = asyncio.run(_answer(words))
    print(write_answer(answer).decode(), flush=True)  # noqa: T201  the answer
    sys.exit(exit_code(answer))


def exit_code(answer: ChunkAnswer) -> int:
    """0 rendered, 1 not, 2 the request was refused."""
    if answer.error is not None and answer.error.failure.budget is RetryBudget.NONE:
        return 2
    return 0 if answer.exit_code == 0 else 1


def _serve(words: argparse.Namespace) -> None:
    from helios.worker.cloud_run import serve

    try:
        serve(host=words.host, port=words.port)
    except HeliosError as exc:
        print(f"helios.worker: {exc}", file=sys.stderr)  # noqa: T201  the platform's log
        sys.exit(2)


async def _answer(words: argparse.Namespace) -> ChunkAnswer:
    try:
        runtime = WorkerRuntime(WorkerSettings.from_environment(trusted=words.action == "chunk"))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, runtime.stop)
        return await runtime.run(await _request(words, runtime.settings))
    except Exception as exc:  # noqa: BLE001  whoever asked gets an answer
        return ChunkAnswer.failed(failure_of(exc))


async def _request(words: argparse.Namespace, settings: WorkerSettings) -> ChunkRequest:
    if words.action == "chunk":
        given = {"jobPath": words.job, "chunkIndex": words.index, "attemptUrl": words.attempt_url}
        return read_request({**given, "timeoutSeconds": words.timeout})
    index = words.index if words.index is not None else _index()
    settings.check_place(words.url)
    storage = storage_root(words.url)
    data = await storage.read(storage.key_of(words.url), limit=MAX_BATCH_BYTES)
    if data is None:
        raise RequestError(f"The batch {words.url} does not exist")
    try:
        requests = read_json(data)
    except ValueError as exc:
        raise RequestError(f"The batch {words.url} is not JSON ({exc}); expected an array of requests") from None
    if not isinstance(requests, list) or not 0 <= index < len(requests):
        raise RequestError(f"The batch {words.url} has no request {index}")
    return read_request(requests[index])


def _index() -> int:
    for name in INDEX_VARIABLES:
        if re.fullmatch(r"\d{1,9}", text := os.environ.get(name, ""), re.ASCII):
            return int(text)
    raise RequestError(f"Which request of the batch? Name its index, or set one of {', '.join(INDEX_VARIABLES)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m helios.worker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True)
    chunk = actions.add_parser("chunk", help="render one chunk of a job document")
    chunk.add_argument("job", metavar="JOB", help="path or URL of the document")
    chunk.add_argument("index", metavar="INDEX", type=int, help="the chunk's position in it, from 0")
    chunk.add_argument(
        "--attempt-url", metavar="URL", help="folder in storage for the output; beside the document if not given"
    )
    chunk.add_argument("--timeout", metavar="S", type=float, help="seconds after which the command is stopped")
    batch = actions.add_parser("batch", help="render one of several requests that are kept in storage")
    batch.add_argument("url", metavar="URL", help="the batch: a JSON array of requests")
    batch.add_argument("index", metavar="INDEX", type=int, nargs="?", help="which of them, from 0")
    serve = actions.add_parser("serve", help="render chunks on request, over HTTP")
    serve.add_argument("--host", default="0.0.0.0")  # noqa: S104
    serve.add_argument("--port", type=int, help="$PORT, or 8080, if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
