"""Many invocations in flight at once from one process: time, memory, and how long the event loop is kept waiting."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.extent import Extent
from benchmarks.measure import Column, Table, compare
from benchmarks.meters import peak_mb
from testbed.cloud.processes import running

SECONDS = 5.0
"""What each invocation sleeps: the ideal time of all of them together."""
IDEAL, INVOKED = "the ideal", "wall"
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}


def measure(extent: Extent) -> list[Table]:
    """Measure the adapters aws-lambda and cloud-run, each run in a fresh process."""
    count = extent.invocations
    figures = asyncio.run(
        compare(
            {
                "aws-lambda": lambda: asyncio.to_thread(_run, "aws-lambda", count),
                "cloud-run": lambda: asyncio.to_thread(_run, "cloud-run", count),
                IDEAL: _ideal,
            },
            runs=extent.runs,
        )
    )
    columns = (
        Column(measure=INVOKED, heading="s"),
        Column(measure="memory", heading="peak MB", digits=0),
        Column(measure="block", heading="event loop kept waiting at most, ms", scale=1000, digits=0),
    )
    title = f"{count} invocations in flight at once, each sleeping {SECONDS:g} s"
    return [Table(title=title, figures=figures, reference=IDEAL, ratio_of=INVOKED, columns=columns)]


async def _ideal() -> dict[str, float]:
    return {INVOKED: SECONDS}


def _run(adapter: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.invocations", adapter, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **KEYS})
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _invoke_all(config: dict[str, Any], count: int) -> dict[str, float]:
    from adapters import create_adapter
    from helios.garbage import calm_collector
    from helios.models.worker import WorkerJob

    _, adapter = await asyncio.to_thread(create_adapter, config)
    calm_collector()  # as the flow does
    watch = asyncio.create_task(_watch_loop())
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    url = f"{config['storage']}/jobs/1/chunk-{{}}/job.json"
    jobs = [WorkerJob(command="x", job_url=url.format(n), chunk_id=n) for n in range(count)]
    results = await asyncio.gather(*map(adapter.execute, jobs))
    wall = time.perf_counter() - started
    watch.cancel()
    assert all(result.exit_code == 0 for result in results)
    assert len(results) == count
    worst = (await asyncio.gather(watch, return_exceptions=True))[0]
    assert isinstance(worst, _WorstDelayError)
    return {"wall": wall, "memory": peak_mb(), "block": worst.seconds}


class _WorstDelayError(Exception):
    """The longest delay of the event loop."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


async def _watch_loop() -> None:
    """Sleep for 5 ms again and again, and measure how much later the event loop continues."""
    worst, tick = 0.0, 0.005
    try:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(tick)
            worst = max(worst, time.perf_counter() - before - tick)
    except asyncio.CancelledError:
        raise _WorstDelayError(worst) from None


def main() -> None:
    """Measure one run in this process: `python -m benchmarks.invocations ADAPTER COUNT`."""
    adapter, count = sys.argv[1], int(sys.argv[2])
    with (
        tempfile.TemporaryDirectory() as folder,
        running("benchmarks.sleeping_lambda", settings={"seconds": SECONDS}) as server,
    ):
        config = {"type": adapter, "storage": Path(folder).as_uri(), "max_in_flight": count}
        config |= {"endpoint": server["url"]} if adapter == "aws-lambda" else {"service_url": server["url"]}
        if adapter == "cloud-run":
            _skip_tokens()
        print(json.dumps(asyncio.run(_invoke_all(config, count))))


def _skip_tokens() -> None:
    """Replace the request for a token by a constant: one token serves all requests, so its cost is not measured."""
    from adapters.google import IdTokens

    async def token(_self: IdTokens) -> str:
        return "x" * 800

    IdTokens.token = token  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
