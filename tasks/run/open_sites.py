"""The sites of a run's places, each opened once, when it is needed first."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Container, Sequence

from helios.errors import WorkerUnavailableError
from helios.prices.rate import SECONDS_IN_HOUR, Rate
from tasks.request.prepare import PreparedJob
from tasks.request.prepared_places import PreparedPlace


class OpenSites:
    """Which sites are open, in the event loop alone.

    Args:
        open_site: Makes a place's site ready for the run.
    """

    def __init__(self, open_site: Callable[[PreparedPlace], Awaitable[None]]) -> None:
        self._open_site = open_site
        self._opened: set[str] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.tried: set[str] = set()
        """Places whose sites may hold something of the run, by name."""

    def has(self, name: str) -> bool:
        """Whether a place's site is open."""
        return name in self._opened

    @property
    def away(self) -> set[str]:
        """Places whose sites could not be opened."""
        return self.tried - self._opened

    async def open_some(
        self, places: Sequence[PreparedPlace], *, left_out: Container[str]
    ) -> dict[str, WorkerUnavailableError]:
        """Open sites at the same time; one that can't be reached may be tried again later.

        Args:
            places: All places.
            left_out: Those that are opened later, by name; not all of them.

        Returns:
            Why places can't be reached, by name; others can be then.

        Raises:
            RequestError: A site can't be used.
            WorkerUnavailableError: None of them can be reached.
        """
        wanted = [place for place in places if place.name not in left_out]
        ended = await asyncio.gather(*map(self.open, wanted), return_exceptions=True)
        errors = {place.name: error for place, error in zip(wanted, ended, strict=True) if error is not None}
        unreachable = {name: error for name, error in errors.items() if isinstance(error, WorkerUnavailableError)}
        for error in errors.values():
            if not isinstance(error, WorkerUnavailableError) or len(errors) == len(places):
                raise error
        return unreachable

    async def open(self, place: PreparedPlace) -> None:
        """Open a place's site, unless it is open; attempts that need it at the same time wait for one another.

        Raises:
            RequestError: It can't be used.
            WorkerUnavailableError: It can't be reached.
        """
        async with self._turns[place.name]:
            if place.name not in self._opened:
                self.tried.add(place.name)
                await self._open_site(place)
                self._opened.add(place.name)


def opened_later(job: PreparedJob, *, is_first: bool) -> frozenset[str]:
    """The places that a job with a deadline opens when it needs them: all but the cheapest.

    Of a job that an earlier process may have begun all are opened at once: workers that still render for a process that
    has died are called off then.

    Args:
        job: The job.
        is_first: Whether this is the first process of its run.
    """
    if job.deadline is None or not is_first or job.spec.id is not None:
        return frozenset()
    hourly = {
        place.name: place.cost_per_hour or SECONDS_IN_HOUR * Rate(job.prices.of(place.adapter_name)).second()
        for place in job.places
    }
    cheapest = min(hourly, key=hourly.__getitem__)
    return frozenset(hourly) - {cheapest}
