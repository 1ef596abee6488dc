"""Beside a run: what it costs is found, shown, and kept for its later processes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import inf
from uuid import UUID

from helios.adapter import SizedAdapter
from helios.beside import beside
from helios.errors import HeliosError
from helios.models.cost_text import money
from helios.prices.book import AdapterPrice, PriceBook
from helios.prices.rate import Rate
from helios.usage import WorkerSize
from tasks.prefect_api.api import UNREACHABLE
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.one_try import one_try
from tasks.prefect_api.states import suspended
from tasks.request.prepared_places import PreparedPlace
from tasks.run.run import Run
from tasks.run.session import RunSession
from tasks.run.spending import DECIMALS
from tasks.schedule.budget import Allowance, allowed_places, enough_to_finish

LOOK_SECONDS = 0.5
"""Between two looks at what the run costs."""
PAUSE_SECONDS = 10.0
"""Between two pauses of a run: the first may not have been seen yet, or the run was resumed with the same budget."""
KEEP_SECONDS = 2.0
"""Between two writes of it into result storage. What a run spends that dies is known up to so long before its death."""


async def _open(session: RunSession) -> None:
    """Find what the run's workers cost, and what earlier processes of the run have spent."""
    run = session.run
    rates = {
        place.name: await _rate(place, run.identity.job.prices, session.api.log) for place in run.places.all.values()
    }
    earlier = {} if run.identity.is_first else await session.accepted.read_spending()
    run.ledger.spending.open(run.identity.job.prices, rates, earlier=earlier)
    run.places.too_dear = lambda: _too_dear(run)


async def _rate(place: PreparedPlace, book: PriceBook, log: RunLogger) -> Rate:
    """What a place's workers cost: as the request says, else by the file of prices."""
    if place.cost_per_hour > 0:
        return Rate(AdapterPrice(hour=place.cost_per_hour))
    price, size = book.of(place.adapter_name), WorkerSize()
    if isinstance(place.adapter, SizedAdapter) and not price.is_free:
        try:
            size = await place.adapter.worker_size()
        except HeliosError as exc:
            log.warning("The size of the workers can't be asked for (%s); costs are those of workers of %s",
                        exc, _size(price))  # fmt: skip
    rate = Rate(price, size)
    if rate.is_of_another_region and not rate.is_free:
        log.warning("The prices of the region %s are not known; costs are by those of %s", size.region, price.region)
    return rate


def _too_dear(run: Run) -> frozenset[str]:
    """The places at which nothing may start, since the budget is nearly spent."""
    if run.budget.allowed is Allowance.ALL:
        return frozenset()
    hourly = run.ledger.spending.hourly
    return frozenset(hourly) - allowed_places(hourly, Allowance.CHEAPEST)


@asynccontextmanager
async def money_watched(session: RunSession) -> AsyncIterator[None]:
    """Within the block, show what the run costs, and keep it for its later processes."""
    await _open(session)
    if not session.run.ledger.spending.counts:
        yield
        return
    watch = _Watch(session)
    try:
        async with beside(watch.look_again_and_again()):
            yield
    finally:
        watch.show()
        await watch.keep()


class _Watch:
    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._kept: dict[str, float] = {}
        self._kept_at = time.monotonic()
        self._paused_at = -inf

    async def look_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.show()
            await self._heed_budget()
            if time.monotonic() - self._kept_at >= KEEP_SECONDS:
                await self.keep()

    async def _heed_budget(self) -> None:
        """Pause the run when its budget is spent, and something is left to do."""
        run, control = self._session.run, self._session.run.control
        is_left = run.budget.waiting > 0 or (run.budget.stops and control.in_flight > 0)
        if not run.budget.is_spent or not is_left or control.is_stopping or not control.gate.is_set():
            return
        if time.monotonic() - self._paused_at < PAUSE_SECONDS:
            return  # the supervisor is about to see it
        control.stops_in_flight = run.budget.stops
        message = budget_spent(run)
        with one_try(), suppress(*UNREACHABLE):  # tried again: nothing starts meanwhile
            # By force: Prefect suspends no run that has no deployment.
            await self._session.api.client.set_flow_run_state(UUID(run.identity.run_id), suspended(message), force=True)
            self._paused_at = time.monotonic()
            self._session.api.log.warning("%s", message)

    def show(self) -> None:
        """Tell those who watch the run what it has cost so far."""
        run, spending = self._session.run, self._session.run.ledger.spending
        run.progress.note(cost=round(spending.total, DECIMALS), currency=spending.currency, budget=spending.budget)

    async def keep(self) -> None:
        """Write what was spent, if that has changed."""
        spent = self._session.run.ledger.spending.to_record()
        if spent != self._kept:
            await self._session.accepted.write_spending(spent)
            self._kept = spent
        self._kept_at = time.monotonic()


def budget_spent(run: Run) -> str:
    """Say that the budget is spent, and what it would take to finish."""
    spending, progress = run.ledger.spending, run.progress.now
    currency, budget = spending.currency, spending.budget or 0.0
    left = progress.total_frames - progress.frames
    words = f"The budget of {money(budget, currency)} is spent: {money(spending.total, currency)}"
    enough = enough_to_finish(spent=spending.total, frames_done=spending.frames, frames_left=left)
    if left == 0:
        words += "; all frames are rendered, and audits are left"
    elif enough is None:
        words += f", and none of {left} frames is accepted"
    else:
        words += (
            f" for {spending.frames} frames, {money(spending.per_frame, currency)} each; the other {left} take about "
            f"{money(left * spending.per_frame, currency)}"
        )
    more = f"{enough:g}" if enough is not None and left else "MORE"
    return f"{words}. helios-job resume {run.identity.run_id} --budget {more} goes on"


def _size(price: AdapterPrice) -> str:
    return f"{price.vcpus:g} CPUs and {price.memory_mib} MiB"
