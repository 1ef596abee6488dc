"""What tests share of flows that ask a cluster for nodes."""

import asyncio
import json
import os
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from tests.running import eventually

ROOT = Path(__file__).parents[2]
FLOW = """
import asyncio, json, sys
from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from tests.helios.worker.stored import store_script

async def main():
    adapter = FarmAdapter(FarmConfig.model_validate(json.loads(sys.argv[1])))
    await adapter.open()
    jobs = [store_script(adapter.storage, "import time; time.sleep(600)") for _ in range(6)]
    await asyncio.gather(*map(adapter.execute, jobs))

asyncio.run(main())
"""


def changed(config: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    """An adapter's settings with other ones of its cluster."""
    return {**config, "cluster": {**config["cluster"], **cluster}}


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that is looked at in a thread."""

    async def holds() -> object:
        return await asyncio.to_thread(condition)

    await eventually(holds)


@asynccontextmanager
async def opened(config: dict[str, Any]) -> AsyncIterator[tuple[FarmAdapter, list[str]]]:
    """An adapter that is open within the block, and the lines that it tells."""
    adapter, told = FarmAdapter(FarmConfig.model_validate(config)), list[str]()
    adapter.tell(told.append)
    try:
        await adapter.open()
        yield adapter, told
    finally:
        await adapter.aclose()


async def begin_flow(config: dict[str, Any]) -> asyncio.subprocess.Process:
    """A process with six chunks of ten minutes, to be killed."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(FLOW), json.dumps(config), cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
