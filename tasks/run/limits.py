"""The limits over all jobs that a run's attempts keep: the adapter's, and the licences that chunks require."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from prefect.exceptions import ObjectNotFound

from helios.errors import RequestError
from helios.models.spec import RenderJobChunk
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.request.prepare import PreparedJob
from tasks.run.control import RunControl
from tasks.run.progress import ProgressTracker
from tasks.run.slots import LimitSlots


class RunLimits:
    """The slots of limits that one run holds.

    Args:
        api: Prefect's API.
        job: The job, whose adapters have a limit each, and whose chunks may require licences.
        run_id: The flow run, which Prefect shows as the holder.
        control: Takes no slots while the run is paused.
        progress: Shows how many chunks wait for a slot.
    """

    def __init__(
        self, api: RunApi, job: PreparedJob, *, run_id: str, control: RunControl, progress: ProgressTracker
    ) -> None:
        def slots(name: str) -> LimitSlots:
            return LimitSlots(api, name, run_id=run_id, gate=control.gate, progress=progress)

        self._api = api
        self._job = job
        self._adapters = {name: slots(name) for name in dict.fromkeys(place.limit for place in job.places)}
        names = {name for chunk in job.chunks for name in job.spec.required_by(chunk).licences}
        self._licences = {name: slots(name) for name in sorted(names)}

    @property
    def all(self) -> tuple[LimitSlots, ...]:
        """The slots of each limit."""
        return (*self._adapters.values(), *self._licences.values())

    async def check(self) -> None:
        """Make sure that there is a limit for each licence: without one, nothing would be limited.

        Raises:
            RequestError: There is none of that name.
        """
        for name in self._licences:
            try:
                with suppress(*UNREACHABLE):
                    await self._api.client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                raise RequestError(
                    f"The job requires the licence {name!r}, and Prefect has no global concurrency limit of that name; "
                    f"make it: prefect gcl create {name!r} --limit NUMBER"
                ) from None

    @asynccontextmanager
    async def held(self, chunk: RenderJobChunk, limit: str) -> AsyncIterator[None]:
        """Have what an attempt of a chunk needs within the block; wait for it before.

        Args:
            chunk: The chunk.
            limit: The limit of its place.
        """
        async with AsyncExitStack() as stack:
            # Always in the same order: else two chunks could wait for each other.
            for name in sorted(self._job.spec.required_by(chunk).licences):
                await stack.enter_async_context(self._licences[name].held())
            await stack.enter_async_context(self._adapters[limit].held())
            yield

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew leases within the block, and give all slots back at its end."""
        async with AsyncExitStack() as stack:
            for slots in self.all:
                await stack.enter_async_context(slots.kept())
            yield
