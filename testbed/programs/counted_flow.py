"""Render a job in this process, and print its costs: `python -m testbed.programs.counted_flow JOB`.

It counts requests to Prefect's API, events sent to it, files opened, bytes written, and results written; not time.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

counts: Counter[str] = Counter()
BY_THE_CLOCK = ("/artifacts", "/flow_runs/", "/variables", "/health", "/logs", "/task_runs/count", "/csrf-token")
"""Requests that come by time and not by chunk: progress, polls of the run's state, the job's lock, log batches."""


def _watch_files(event: str, arguments: tuple[Any, ...]) -> None:
    # The search for a command's leftover processes opens a file for each younger process of the machine, of any owner.
    if event == "open" and not str(arguments[0]).startswith("/proc/"):
        counts["opens"] += 1


def _count(thing: Any, name: str, key: str) -> None:
    """Count the calls of an asynchronous method."""
    original = getattr(thing, name)

    async def counted(*words: Any, **named: Any) -> Any:
        counts[key] += 1
        return await original(*words, **named)

    setattr(thing, name, counted)


def _count_requests() -> None:
    original = httpx.AsyncClient.send

    async def send(self: httpx.AsyncClient, request: httpx.Request, **named: Any) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        counts["clock" if path.startswith(BY_THE_CLOCK) else "requests"] += 1
        return await original(self, request, **named)

    httpx.AsyncClient.send = send  # type: ignore[method-assign]


def main() -> None:
    """Render the job, and print the counts from the flow's start to its report."""
    from prefect.events.clients import PrefectEventsClient
    from prefect.filesystems import LocalFileSystem

    from flows.render import render_job

    _count_requests()
    _count(PrefectEventsClient, "_emit", "events")
    _count(LocalFileSystem, "awrite_path", "results")
    written = _written()
    sys.addaudithook(_watch_files)
    report: Any = asyncio.run(render_job(sys.argv[1], concurrency=10))
    assert report.state == "completed"
    print(json.dumps({**counts, "bytes": _written() - written}))


def _written() -> int:
    """Bytes that this process has handed to the kernel."""
    text = Path("/proc/self/io").read_text()
    return int(text.split("wchar: ")[1].split()[0])


if __name__ == "__main__":
    main()
