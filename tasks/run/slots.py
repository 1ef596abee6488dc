"""Bound attempts over all jobs, by slots of a global concurrency limit in Prefect: an adapter's, or a licence's.

Where no limit of its name exists, nothing is limited. A slot is on lease:
the slot of a process that died is free after a minute. A slot stays with its run from one attempt to the next, for a
minute at most, so that short chunks do not pay for it each time, and other jobs get their turn; see
docs/decisions/slots-stay-with-a-run.md. While other runs want the limit too, a run keeps to its share of it, which
`tasks.run.sharing` finds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import PrefectHTTPStatusError

from helios.beside import beside
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.one_try import one_try
from tasks.run.liveness import SLOT_LEASE_SECONDS, SLOT_RENEW_SECONDS
from tasks.run.progress import ProgressTracker

KEEP_SECONDS = 60.0
"""Seconds that a slot stays with a run that has another attempt for it at once."""
TURN_PAUSE_SECONDS = 1.5
"""A run that gives a slot back to those that wait asks for none within this time."""
IDLE_SECONDS = 1.0
"""Seconds after which an unused slot is returned."""
ASK_AGAIN_SECONDS = 1.0
TRIES = 30
"""Requests for a slot while the server can't answer, over half a minute; then the attempt goes on without a slot. On
SQLite the server answers 503 whenever another write came between."""
GIVE_BACK_TRIES = 8
"""Tries to free a slot, over some seconds: its lease ends by itself."""


@dataclass
class _Slot:
    lease: UUID
    taken: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0


class LimitSlots:
    """The slots of one limit that one run holds.

    Args:
        api: Prefect's API; its log says when the limit can't be kept.
        name: The limit's name.
        run_id: The flow run, which Prefect shows as the holder.
        gate: Closed while the run is paused: it takes no slots then.
        progress: Shows how many chunks wait for a slot.
    """

    def __init__(
        self,
        api: RunApi,
        name: str,
        *,
        run_id: str,
        gate: asyncio.Event,
        progress: ProgressTracker,
    ) -> None:
        self._api = api
        self._name = name
        self._holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(run_id))
        self._gate = gate
        self._progress = progress
        self._is_limited = True
        self._held: list[_Slot] = []
        self._idle: list[_Slot] = []
        self._waiting = 0
        self._told = False
        self._asking = asyncio.Lock()
        self._not_before = 0.0
        self._failures = 0
        self._freed = asyncio.Event()
        self._share: int | None = None
        self._turn_seconds = KEEP_SECONDS
        self.on_refusal: Callable[[], None] = lambda: None
        """Called when a slot was asked for and none was free."""

    @property
    def name(self) -> str:
        """The limit's name."""
        return self._name

    @property
    def wanted(self) -> int:
        """Slots that the run's attempts have or wait for; a paused run waits for none."""
        used = len(self._held) - len(self._idle)
        return used + (self._waiting if self._is_limited and self._gate.is_set() else 0)

    def keep_to(self, share: int | None, *, turn_seconds: float = KEEP_SECONDS) -> None:
        """Hold no more slots than a share, from the end of an attempt on: others want them.

        Args:
            share: At least 1; None for no bound.
            turn_seconds: How long a slot stays with the run that has another attempt for it at once.
        """
        self._turn_seconds = turn_seconds
        if share != self._share:
            self._share = share
            self._freed.set()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Have a slot within the block; wait for one before."""
        slot = await self._take()
        try:
            yield
        finally:
            if slot is not None:
                await asyncio.shield(self._hand_over(slot))

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew leases within the block, and give all slots back at its end."""
        try:
            async with beside(self._keep()):
                yield
        finally:
            while self._held:
                await self._give_back(self._held[0])

    async def _take(self) -> _Slot | None:
        """Wait for a slot; None if there is no limit, or if Prefect does not answer."""
        self._waiting += 1
        try:
            while self._is_limited:
                await self._gate.wait()
                slot = self._idle.pop() if self._idle else await self._ask_for_all()
                if slot is not None and self._gate.is_set():
                    return slot
                if slot is not None:
                    await self._give_back(slot)  # the run was paused meanwhile
                elif self._failures >= TRIES:
                    self._failures = 0
                    self._api.log.warning("Prefect can't say whether the limit %s has a free slot; an attempt goes on "
                                         "without", self._name)  # fmt: skip
                    return None
                elif self._is_limited:
                    self._tell()
                    self._freed.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._freed.wait(), _pause(self._failures))
            return None
        finally:
            self._waiting -= 1
            self._tell()

    async def _ask_for_all(self) -> _Slot | None:
        """Ask for a slot, unless another attempt of this run was just refused one."""
        async with self._asking:
            if self._idle or not self._is_limited or time.monotonic() < self._not_before or not self._may_hold_more:
                return None
            try:
                slot = await self._ask()
                self._failures = 0
            except UNREACHABLE:
                slot, self._failures = None, self._failures + 1
            if slot is None:
                self._not_before = time.monotonic() + _pause(self._failures) / 2
                if not self._failures and self._is_limited:
                    self.on_refusal()
            return slot

    @property
    def _may_hold_more(self) -> bool:
        return self._share is None or len(self._held) < self._share

    async def _ask(self) -> _Slot | None:
        """Ask Prefect for a slot; None if no slot is free, or if there is no limit."""
        try:
            with one_try():
                answer = await self._api.client.increment_concurrency_slots_with_lease(
                    [self._name], 1, "concurrency", SLOT_LEASE_SECONDS, self._holder
                )
        except PrefectHTTPStatusError as exc:
            # Unprocessable: the limit is 0, which is how people close one.
            if exc.response.status_code in (httpx.codes.LOCKED, httpx.codes.UNPROCESSABLE_ENTITY):
                return None
            raise
        document = answer.json()
        slot = _Slot(UUID(document["lease_id"]))
        if not document["limits"]:
            self._is_limited = False
            return None
        self._held.append(slot)
        return slot

    async def _hand_over(self, slot: _Slot) -> None:
        """Leave a slot to the run's next attempt, unless it is another run's turn."""
        if slot not in self._held:
            return
        now, is_shared = time.monotonic(), self._share is not None
        is_over = self._share is not None and len(self._held) > self._share
        if is_over or now - slot.taken >= self._turn_seconds:
            if is_shared:  # who waits asks every second: asking at once would take the slot from it again
                self._not_before = now + TURN_PAUSE_SECONDS
            await self._give_back(slot)
        else:
            slot.idle_since = time.monotonic()
            self._idle.append(slot)
            self._freed.set()

    async def _give_back(self, slot: _Slot) -> None:
        """Free a slot, in several tries: a slot that is not freed stays taken until its lease ends."""
        self._held.remove(slot)
        for failures in range(1, GIVE_BACK_TRIES + 1):
            try:
                with one_try():
                    await self._api.client.release_concurrency_slots_with_lease(slot.lease)
            except PrefectHTTPStatusError as exc:
                if exc.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return
            except UNREACHABLE:
                pass
            else:
                return
            await asyncio.sleep(_pause(failures))

    async def _keep(self) -> None:
        """Renew the held slots, and give back unused slots, until cancelled."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(IDLE_SECONDS)
            now = time.monotonic()
            for slot in [slot for slot in self._idle if now - slot.idle_since >= IDLE_SECONDS]:
                self._idle.remove(slot)
                await self._give_back(slot)
            if now - renewed >= SLOT_RENEW_SECONDS:
                renewed = now
                for slot in tuple(self._held):
                    with suppress(*UNREACHABLE), one_try():
                        await self._api.client.renew_concurrency_lease(slot.lease, SLOT_LEASE_SECONDS)

    def _tell(self) -> None:
        waiting = self._waiting if self._is_limited else 0
        if waiting or self._told:  # else another limit of the run may have something to tell
            self._progress.note(waiting_chunks=waiting, limit=self._name if waiting else "")
        self._told = waiting > 0


def _pause(failures: int) -> float:
    """Seconds until the next request: short after a failure of the server, and longer each time."""
    return min(0.02 * 2**failures, ASK_AGAIN_SECONDS) if failures else ASK_AGAIN_SECONDS
