"""The handler's cold start: import, and the first answer of a fresh function in Lambda's emulator, without a render."""

import asyncio
import os
import statistics
import subprocess
import sys
import time

from adapters import create_adapter
from adapters.aws_lambda import AwsLambdaAdapter
from helios.models.invocation import ChunkRequest
from tests.cloud.aws import aws

IMPORT = "import time; t = time.perf_counter(); import helios.worker.aws_lambda; print(time.perf_counter() - t)"


async def measure(*, runs: int = 5) -> str:
    """Medians of fresh processes."""
    imports, first, second = [], [], []
    for _ in range(runs):
        imports.append(await asyncio.to_thread(_import))
        with aws() as cloud:
            os.environ |= cloud.environment
            _, adapter = create_adapter(cloud.config)
            assert isinstance(adapter, AwsLambdaAdapter)
            first.append(await _answer(adapter))
            second.append(await _answer(adapter))
    rows = {"import of the handler": imports, "first answer of a fresh function": first, "second answer": second}
    lines = [
        "Cold start of the handler under Lambda's emulator",
        "",
        "| | median ms | lowest to highest |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {statistics.median(times) * 1000:.0f} | {min(times) * 1000:.0f} to {max(times) * 1000:.0f} |"
        for name, times in rows.items()
    ]
    return "\n".join(lines) + "\n"


def _import() -> float:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    return float(done.stdout)


async def _answer(adapter: AwsLambdaAdapter) -> float:
    """How long a request for nothing takes, from boto3's call to the answer."""
    request = ChunkRequest(job_path=f"{adapter.storage.url}/job.json", probe=True)
    started = time.perf_counter()
    answer = await asyncio.to_thread(adapter.invoke, request)
    assert answer.exit_code == 0, answer
    return time.perf_counter() - started
