"""Beside a run: what it costs is found, shown, and kept for its later processes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from helios.adapter import SizedAdapter
from helios.errors import HeliosError
from helios.prices.book import AdapterPrice
from helios.prices.rate import Rate
from helios.usage import WorkerSize
from tasks.run.accepted import AcceptedChunks
from tasks.run.run import Run
from tasks.run.session import RunSession

LOOK_SECONDS = 0.5
"""Between two looks at what the run costs."""
KEEP_SECONDS = 2.0
"""Between two writes of it into result storage. What a run spends that dies is known up to so long before its death."""


async def _open(session: RunSession) -> None:
    """Find what the run's workers cost, and what earlier processes of the run have spent."""
    run, log = session.run, session.api.log
    job = run.identity.job
    price = job.prices.of(job.adapter_name)
    size = WorkerSize()
    if isinstance(job.adapter, SizedAdapter) and not price.is_free:
        try:
            size = await job.adapter.worker_size()
        except HeliosError as exc:
            log.warning("The size of the workers can't be asked for (%s); costs are those of workers of %s",
                        exc, _size(price))  # fmt: skip
    rate = Rate(price, size)
    if rate.is_of_another_region and not rate.is_free:
        log.warning("The prices of the region %s are not known; costs are by those of %s", size.region, price.region)
    earlier = {} if run.identity.is_first else await session.accepted.read_spending()
    run.ledger.spending.open(job.prices, rate, earlier=earlier)


@asynccontextmanager
async def money_watched(session: RunSession) -> AsyncIterator[None]:
    """Within the block, show what the run costs, and keep it for its later processes."""
    await _open(session)
    if not session.run.ledger.spending.counts:
        yield
        return
    watch = _Watch(session.run, session.accepted)
    looking = asyncio.create_task(watch.look_again_and_again())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await watch.keep()


class _Watch:
    def __init__(self, run: Run, accepted: AcceptedChunks) -> None:
        self._run = run
        self._accepted = accepted
        self._kept: dict[str, float] = {}
        self._kept_at = time.monotonic()

    async def look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if time.monotonic() - self._kept_at >= KEEP_SECONDS:
                await self.keep()

    async def keep(self) -> None:
        """Write what was spent, if that has changed."""
        spent = self._run.ledger.spending.to_record()
        if spent != self._kept:
            await self._accepted.write_spending(spent)
            self._kept = spent
        self._kept_at = time.monotonic()


def _size(price: AdapterPrice) -> str:
    return f"{price.vcpus:g} CPUs and {price.memory_mib} MiB"
