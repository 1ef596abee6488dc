"""Share limits with other runs, by weight: each says in its lock what it wants, and keeps to its share.

A run renews its lock every five seconds in any case, and at once when it was refused a slot. It reads the others' locks
then, and so all of them come to the same shares (`tasks.schedule.shares`). Nothing is taken from a chunk that renders:
a run that has too many slots gives one back when an attempt ends. Slots that something else than a render holds are in
nobody's share.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import inf

from prefect.exceptions import ObjectNotFound

from tasks.prefect_api.api import RunApi
from tasks.run.liveness import OWNER_DEAD_SECONDS
from tasks.run.lock import JobLock, all_locks
from tasks.run.lock_owner import LockOwner
from tasks.run.priority import DEFAULT_WEIGHT
from tasks.run.run import Run
from tasks.run.slots import KEEP_SECONDS, LimitSlots
from tasks.schedule.shares import Demand, share_slots


class Sharing:
    """One run among others; used in its event loop alone.

    Args:
        run: The run.
        lock: Its lock on the job, in which it says what it wants.
        api: Prefect's API.
    """

    def __init__(self, run: Run, lock: JobLock, api: RunApi) -> None:
        self._run = run
        self._lock = lock
        self._api = api
        self._weight: int | None = None
        self._told = False
        self.is_due = False
        """Whether the others should know at once that a slot was refused, or that the weight is another one."""
        for slots in run.limits.all:
            slots.on_refusal = self._note_refusal

    def note_weight(self, weight: int) -> None:
        """Take a weight from now on; 1 at least."""
        if self._weight is not None and weight != self._weight:
            self._api.log.info("The run's weight was %d, and is %d now: its share of limits that others want too",
                               self._weight, weight)  # fmt: skip
            self.is_due = True
        self._weight = weight

    async def look(self) -> None:
        """Renew the lock, and keep to the run's shares of the limits that others want too.

        Raises:
            LockLostError: Another run has taken the job over.
        """
        self.is_due = False
        wanted = {slots.name: slots.wanted for slots in self._run.limits.all if slots.wanted}
        await self._lock.renew(demands=wanted, weight=self._weight or DEFAULT_WEIGHT)
        holding = [slots for slots in self._run.limits.all if slots.wanted]
        if not holding:
            return
        others = _living(await all_locks(self._api.client), self._lock.owner)
        for slots in holding:
            await self._share(slots, [other for other in others if other.demands.get(slots.name)])

    def _note_refusal(self) -> None:
        if not self._told:  # later ones are told every five seconds
            self._told = self.is_due = True

    async def _share(self, slots: LimitSlots, others: list[LockOwner]) -> None:
        if not others:
            slots.keep_to(None)
            return
        try:
            total = (await self._api.client.read_global_concurrency_limit_by_name(slots.name)).limit
        except ObjectNotFound:
            slots.keep_to(None)
            return
        own = self._lock.owner
        demands = {other.token: Demand(other.weight, other.demands[slots.name]) for other in others}
        demands[own.token] = Demand(own.weight, slots.wanted)
        shares = share_slots(total, demands)
        if min(shares.values()) > 0:
            slots.keep_to(shares[own.token], turn_seconds=inf)
            return
        # There are fewer slots than runs: they take turns, the longer the heavier a run is.
        turn = KEEP_SECONDS * own.weight / max(demand.weight for demand in demands.values())
        slots.keep_to(max(shares[own.token], 1), turn_seconds=turn)


def _living(locks: Iterable[tuple[str, LockOwner, datetime]], own: LockOwner) -> list[LockOwner]:
    """The owners of other locks that were renewed lately, by the server's clock: the own lock says what is now."""
    found = list(locks)
    now = next((renewed for _, owner, renewed in found if owner.token == own.token), None)
    if now is None:
        return []
    oldest = now - timedelta(seconds=OWNER_DEAD_SECONDS)
    return [owner for _, owner, renewed in found if owner.token != own.token and renewed >= oldest and owner.demands]
