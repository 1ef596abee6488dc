"""Nodes that a flow has asked a cluster for: how many, when, and what became of them."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from adapters.farm_cluster.asked import AskedNode
from adapters.farm_cluster.config import ClusterSettings
from adapters.farm_cluster.link import FarmLink
from adapters.farm_cluster.policy import nodes_to_ask_for
from adapters.farm_cluster.source import node_source
from adapters.farm_cluster.states import JobState, Phase, nodes_in_words, outlook
from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.models.requires import Requires
from helios.own_farm.join_token import JoinToken
from helios.own_farm.node_state import NodeState

LOOK_SECONDS = 1.0
"""Between two looks at what waits."""
QUEUE_SECONDS = 5.0
"""Between two questions to the queue."""
SURPLUS_SECONDS = 10.0
"""For how long a node that has not come must be too many before it is taken back."""
UNKNOWN_SECONDS = 15.0
"""A job of which the queue knows nothing for so long is over."""
FAILED_STARTS = 3
"""After so many jobs in a row that ended before their node came, no more are asked for, for a while."""
PAUSE_SECONDS = 60.0
"""That while; also after the queue has refused a job although others are there."""
SAY_SECONDS = 10.0
"""How long nodes wait in the queue before the run's log says it; it says it again when the reasons change."""
LEAVE_SECONDS = 10.0
"""How long nodes may take to leave at the flow's end before their jobs are ended."""


class Cluster:
    """Asks a cluster for nodes while chunks wait.

    Args:
        config: Which cluster.
        token: The farm that the nodes join.
        link: The way to that farm.
        requires: What each chunk requires.
    """

    def __init__(self, config: ClusterSettings, token: JoinToken, link: FarmLink, *, requires: Requires) -> None:
        self._config = config
        # Tells this flow's jobs and nodes from others.
        self._mark = f"{config.type}-{secrets.token_hex(3)}"
        self._tags = requires.tags | config.tags
        self._source = node_source(config, name=f"helios-{self._mark}", token=token, tags=self._tags)
        self.say: Callable[[str], None] = lambda _line: None
        """Takes lines for the run's log."""
        self._link = link
        self._asked: dict[str, AskedNode] = {}
        self._count = 0
        self._waiting: list[Requires] = []
        self._trouble: HeliosError | None = None
        self._failed_starts = 0
        self._ask_again = 0.0
        self._asked_queue = float("-inf")
        self._surplus_since: float | None = None
        self._said = ""
        self._keeping: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def slots(self) -> int:
        """How many chunks the nodes take at a time that may be asked for, and a few more."""
        return (self._config.most + 1) * self._config.slots

    @property
    def is_open(self) -> bool:
        """Whether nodes are asked for."""
        return self._keeping is not None

    async def open(self) -> None:
        """Begin to ask for nodes.

        Raises:
            RequestError: No node would be given, or there is no place for the token.
        """
        await self._source.open()
        self._keeping = asyncio.create_task(self._keep())

    @contextmanager
    def waiting(self, requires: Requires) -> Iterator[None]:
        """A chunk waits for a slot within the block."""
        self._waiting.append(requires)
        try:
            yield
        finally:
            self._waiting.remove(requires)

    def hope(self, requires: Requires, nodes: Sequence[NodeState]) -> bool:
        """Whether a node may come that takes a chunk.

        Args:
            requires: What the chunk requires.
            nodes: The farm's.

        Raises:
            RequestError: The cluster refuses nodes, and none is there.
        """
        if isinstance(self._trouble, RequestError) and not self._asked:
            raise self._trouble
        return self.is_open and self._trouble is None and self._could_take(requires, nodes)

    def _could_take(self, requires: Requires, nodes: Sequence[NodeState]) -> bool:
        """Whether the nodes that were asked for can do what a chunk requires, as far as one has shown it."""
        come = [node for node in nodes if not node.draining and node.tags & self._asked.keys()]
        able = not come or any(self._link.is_able(node, requires) for node in come)
        return able and requires.tags <= self._tags

    def why_not(self, requires: Requires) -> str | None:
        """Why no node comes that takes a chunk, as far as that is the cluster's matter."""
        if lacking := sorted(requires.tags - self._tags):
            who = f"the nodes that {self._source.title} is asked for"
            return f"{who} lack the tag {lacking[0]}; name it in the cluster's tags if they can do that"
        return str(self._trouble) if self._trouble else None

    @property
    def outlook(self) -> str:
        """What the nodes that were asked for wait for."""
        waiting = [one.state for one in self._asked.values() if not one.has_joined]
        if not waiting:
            return f"{self._source.title} is asked for up to {nodes_in_words(self._config.most)} while chunks wait"
        return outlook(self._source.title, waiting)

    async def close(self) -> None:
        """Give back all nodes, and ask for no more; what the queue still holds is cancelled."""
        keeping, self._keeping = self._keeping, None
        if keeping is None:
            return
        keeping.cancel()
        await asyncio.wait([keeping, *([self._asking] if self._asking else [])])
        try:
            await self._give_back()
        finally:
            await self._source.close(keep_logs=self._failed_starts > 0)

    async def _keep(self) -> None:
        while True:
            try:
                await self._step()
            except (OSError, HeliosError) as exc:
                self.say(f"Nodes of {self._source.title} are not looked after now: {exc}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _step(self) -> None:
        nodes = await self._link.nodes()
        await self._follow({tag: node for node in nodes for tag in node.tags if tag in self._asked})
        chunks = [requires for requires in self._waiting if self._could_take(requires, nodes)]
        joined = sum(one.has_joined for one in self._asked.values())
        count = nodes_to_ask_for(
            waiting=self._link.unplaced(nodes, chunks), pending=len(self._asked) - joined, joined=joined,
            slots=self._config.slots, most=self._config.most,
        )  # fmt: skip
        now = time.monotonic()
        if count >= 0:
            self._surplus_since = None
        if count > 0 and now >= self._ask_again:
            # A job that is being submitted at the flow's end must be known, so that it is cancelled.
            self._asking = asyncio.create_task(self._ask(count))
            await asyncio.shield(self._asking)
        elif count < 0:
            self._surplus_since = self._surplus_since or now
            if now - self._surplus_since >= SURPLUS_SECONDS:
                await self._take_back(-count)

    async def _follow(self, present: dict[str, NodeState]) -> None:
        """Notice which nodes have come, and which jobs are over."""
        for name in present:
            if not self._asked[name].has_joined:
                self._asked[name].has_joined = True
                self._source.has_joined(self._asked[name].job_id)
                self._trouble, self._failed_starts = None, 0
        absent = [name for name in self._asked if name not in present]
        if not absent or time.monotonic() - self._asked_queue < QUEUE_SECONDS:
            return
        states = await self._source.states([self._asked[one].job_id for one in absent])
        self._asked_queue = now = time.monotonic()
        if states is None:
            return
        for name in absent:
            one = self._asked[name]
            if one.job_id in states:
                one.state, one.known = states[one.job_id], now
            elif now - one.known > UNKNOWN_SECONDS:
                one.state = JobState(Phase.ENDED)
            if one.state.phase is Phase.ENDED:
                await self._lose(name, one)
            elif one.state.is_hopeless:
                await self._end(name)
                self._refuse(RequestError(f"{self._source.title} will never start a {self._source.unit} for a node: "
                                          f"{one.state.reason}"))  # fmt: skip
        self._say_what_waits(now)

    async def _lose(self, name: str, one: AskedNode) -> None:
        del self._asked[name]
        if one.has_joined:
            await self._source.remove(one.job_id)
            return
        self._failed_starts += 1
        how = f" ({one.state.reason})" if one.state.reason else ""
        last_words = await self._source.last_words(one.job_id)
        what = f"{self._source.title} {self._source.unit} {one.job_id}"
        text = f"The {what} ended{how} before its node joined the farm: {last_words}"
        await self._source.remove(one.job_id)
        self.say(text)
        if self._failed_starts >= FAILED_STARTS:
            self._ask_again = time.monotonic() + PAUSE_SECONDS
            self._trouble = WorkerUnavailableError(text)

    def _say_what_waits(self, now: float) -> None:
        old = [one for one in self._asked.values() if not one.has_joined and one.state.phase is Phase.WAITING]
        if old and now - min(one.since for one in old) >= SAY_SECONDS and self.outlook != self._said:
            self._said = self.outlook
            self.say(self._said)

    async def _ask(self, count: int) -> None:
        ids = []
        try:
            for _ in range(count):
                if not self.is_open:
                    break
                self._count += 1
                name = f"{self._mark}-{self._count}"
                job_id = await self._source.submit(name)
                now = time.monotonic()
                self._asked[name] = AskedNode(job_id, now, known=now)
                ids.append(job_id)
            self._trouble = None
        except (RequestError, WorkerUnavailableError) as exc:
            self._refuse(exc)
        if ids:
            jobs = f"{self._source.unit}{'s' * (len(ids) > 1)} {', '.join(ids)}"
            self.say(f"Asked {self._source.title} for {nodes_in_words(len(ids))}: {jobs}")

    def _refuse(self, reason: HeliosError) -> None:
        self._ask_again = time.monotonic() + PAUSE_SECONDS
        if str(reason) != self._said:
            self._said = str(reason)
            self.say(self._said)
        if not self._asked:
            self._trouble = reason

    async def _take_back(self, count: int) -> None:
        """Cancel the latest jobs whose nodes have not come: nothing waits for them."""
        late = [name for name, one in self._asked.items() if not one.has_joined][-count:]
        for name in late:
            await self._end(name)
        self.say(
            f"{nodes_in_words(len(late))} that had not come {'are' if len(late) > 1 else 'is'} not needed any more"
        )

    async def _end(self, name: str) -> None:
        one = self._asked.pop(name)
        await self._source.cancel(one.job_id)

    async def _give_back(self) -> None:
        for name in [name for name, one in self._asked.items() if not one.has_joined]:
            await self._end(name)
        count = len(self._asked)
        with suppress(OSError, HeliosError, TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._leave()
        for name in list(self._asked):
            await self._end(name)
        if count:
            self.say(f"Gave {nodes_in_words(count)} back to {self._source.title}")

    async def _leave(self) -> None:
        """Ask the nodes to end, and wait until they are gone. Those that render for others end when they are idle."""
        asked = False
        while self._asked:
            present = {tag: node for node in await self._link.nodes() for tag in node.tags if tag in self._asked}
            for name in list(self._asked):
                node = present.get(name)
                if node is None:
                    await self._source.remove(self._asked.pop(name).job_id)
                elif any(not self._link.is_own(chunk.attempt) for chunk in node.running):
                    del self._asked[name]
                    del present[name]
            if not asked:
                await self._link.leave(list(present.values()))
                asked = True
            await asyncio.sleep(0.2)
