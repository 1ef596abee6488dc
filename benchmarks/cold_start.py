"""The handler's cold start: import, and the first answer of a fresh function in Lambda's emulator, without a render."""

import asyncio
import os
import subprocess
import sys
import time

from adapters import create_adapter
from adapters.aws_lambda import AwsLambdaAdapter
from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Figure, Table
from helios.models.invocation import ChunkRequest
from testbed.cloud.aws import aws

IMPORTED, FIRST, SECOND = "import of the handler", "first answer of a fresh function", "second answer"
IMPORT = "import time; t = time.perf_counter(); import helios.worker.aws_lambda; print(time.perf_counter() - t)"


def measure(extent: Extent) -> list[Table]:
    """Measure fresh processes, and a fresh function for each run."""
    samples: dict[str, list[float]] = {IMPORTED: [], FIRST: [], SECOND: []}
    for _ in range(extent.runs):
        samples[IMPORTED].append(_import())
        with aws() as cloud:
            os.environ |= cloud.environment
            _, adapter = create_adapter(cloud.config)
            assert isinstance(adapter, AwsLambdaAdapter)
            samples[FIRST].append(asyncio.run(_answer(adapter)))
            samples[SECOND].append(asyncio.run(_answer(adapter)))
    figures = tuple(
        Figure(name=name, samples=tuple({WALL: seconds} for seconds in taken)) for name, taken in samples.items()
    )
    columns = (Column(measure=WALL, heading="ms", scale=1000, digits=0),)
    return [Table(title="Cold start of the handler under Lambda's emulator", figures=figures, columns=columns)]


def _import() -> float:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    return float(done.stdout)


async def _answer(adapter: AwsLambdaAdapter) -> float:
    """How long a request that renders nothing takes, from boto3's call to the answer."""
    request = ChunkRequest(job_path=f"{adapter.storage.url}/job.json", probe=True)
    started = time.perf_counter()
    answer = await asyncio.to_thread(adapter.invoke, request)
    assert answer.exit_code == 0, answer
    return time.perf_counter() - started
