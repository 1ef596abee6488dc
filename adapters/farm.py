"""Workers that are nodes of an own farm: `helios.own_farm` has their side."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel

from adapters.farm_cluster.cluster import Cluster
from adapters.farm_cluster.link import FarmLink
from adapters.farm_config import FarmConfig, default_folder
from adapters.farm_connection import NodeGoneError, NodeLeftError, connect, let_go, result_of, tell_node
from adapters.farm_nodes import LOOK_SECONDS, KnownNodes
from adapters.farm_placement import choose_node, count_in_words, unplaced, why_none
from adapters.remote import RemoteAdapter
from helios.diagnosis import Finding, find
from helios.errors import Failure, RequestError, WorkerUnavailableError
from helios.job.attempts import AttemptRecord, read_answer
from helios.models.invocation import MAX_SENT_DOCUMENT, ChunkAnswer, ChunkRequest
from helios.models.requires import Requires
from helios.own_farm.certificates import farm_security
from helios.own_farm.engine import set_up_engine
from helios.own_farm.join_token import find_token
from helios.own_farm.node_state import NodeState
from helios.own_farm.served_storage import FolderServer, ServedStorage, prepare_folder
from helios.own_farm.work import call_off, render
from helios.storage.folder import Storage
from helios.worker.runtime import package_version

LEAST_AT_ONCE = 10
"""Chunks that a flow gives to a farm at a time, even where it has few slots yet."""


class FarmAdapter(RemoteAdapter):
    """Hands each chunk to a node that has a slot free.

    Args:
        config: Which farm, and how files get there and back.

    Raises:
        RequestError: There is no join token, or a cluster can't be asked for nodes from this machine.
    """

    config_type: ClassVar[type[BaseModel]] = FarmConfig

    def __init__(self, config: FarmConfig) -> None:
        set_up_engine()
        self.config = config
        """Which farm."""
        self._token = find_token(config.join.get_secret_value() if config.join else None)
        self._security = farm_security(self._token.secret)
        self._folder = config.folder or default_folder()
        storage: Storage = Storage(config.storage) if config.storage else ServedStorage(self._folder, "127.0.0.1:1")
        super().__init__(config, place=f"the farm at {self._token.host}:{self._token.port}", storage=storage)
        self._client: Any = None
        self._server: FolderServer | None = None
        self._opening = asyncio.Lock()
        self._nodes = KnownNodes()
        self._waiting: dict[str, asyncio.Task[Any]] = {}
        self._freed = asyncio.Event()
        self._turns: defaultdict[Requires, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._none_since: dict[Requires, float] = {}
        self._away_since: float | None = None
        self._cluster: Cluster | None = None
        if config.cluster is not None:
            self._cluster = Cluster(config.cluster, self._token, self._link, requires=config.all_requires)

    @property
    def concurrency(self) -> int:
        """Twice what the nodes take that are there now, so that some may join; see `helios.adapter.PlacingAdapter`."""
        asked_for = self._cluster.slots if self._cluster else 0
        return max(LEAST_AT_ONCE, 2 * sum(node.slots for node in self._nodes.last), asked_for)

    async def open(self) -> None:
        """Connect to the scheduler, and begin to hand out files where there is no storage.

        Raises:
            RequestError: The farm has another secret, or the cluster would take no job for a node.
            WorkerUnavailableError: There is no scheduler at the token's address.
        """
        async with self._opening:
            if self._client is None:
                self._client = await self._connect()
            if self._server is None and isinstance(self.storage, ServedStorage):
                await self._serve(self.storage)
            if self._cluster is not None and not self._cluster.is_open:
                await self._cluster.open()
        await self._look()

    def tell(self, say: Callable[[str], None]) -> None:
        """Say to a run's log which nodes were asked for; see `helios.adapter.TellingAdapter`."""
        if self._cluster is not None:
            self._cluster.say = say

    async def aclose(self) -> None:
        """Give a cluster's nodes back, and give up the connections; nodes end what they still render for this flow."""
        if self._cluster is not None:
            await self._cluster.close()
        await self._disconnect()
        async with self._opening:
            server, self._server = self._server, None
            if server is not None:
                await server.close()

    async def _disconnect(self) -> None:
        """Give up the scheduler alone: documents and lists name the address at which files are handed out."""
        async with self._opening:
            client, self._client = self._client, None
            if client is not None:
                await client.close()

    async def nodes(self) -> list[NodeState]:
        """The farm's nodes, for a caller that renders nothing."""
        self._client = await self._connect()
        try:
            return await self._look()
        finally:
            await self.aclose()

    async def diagnose(self) -> AsyncIterator[Finding]:
        """Look at the scheduler, the nodes, the storage and a round trip."""
        try:
            await self.open()
        except (RequestError, WorkerUnavailableError) as exc:
            yield Finding("scheduler", False, str(exc))
            return
        try:
            async for finding in super().diagnose():
                yield finding
        finally:
            await self.aclose()

    async def _look_around(self) -> AsyncIterator[Finding]:
        yield await find("nodes", self._try_nodes)

    async def _try_nodes(self) -> str:
        nodes = await self._look()
        reason = why_none(nodes, self.config.all_requires, version=package_version())
        if reason is not None and self._cluster is None:
            raise WorkerUnavailableError(f"{self._place}: {reason}")
        return count_in_words(nodes) + self._outlook()

    def _outlook(self) -> str:
        return f"; {self._cluster.outlook}" if self._cluster else ""

    async def _send(self, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        request = request.model_copy(update={"sandbox": self.config.sandbox_kind})
        if self._server is not None:  # the document is at hand here, and a node would have to ask for it
            data = await self.storage.read(self.storage.key_of(request.job_path))
            if data is not None and len(data) <= MAX_SENT_DOCUMENT:
                request = request.model_copy(update={"document": data.decode("utf-8", "surrogatepass")})
        while True:
            async with self._slot(request, record.url) as node:
                with suppress(NodeLeftError):
                    return await self._render_on(node, request, record)

    async def _call_off(self, record: AttemptRecord) -> None:
        if (waiting := self._waiting.get(record.url)) is not None:
            waiting.cancel()  # no node knows of it
        elif self._server is None:
            await super()._call_off(record)
        elif (address := self._nodes.places.get(record.url)) is not None:
            await tell_node(self._client, call_off, record.url, address=address)

    async def _render_on(self, node: NodeState, request: ChunkRequest, record: AttemptRecord) -> ChunkAnswer:
        """What a node answered.

        Raises:
            AnswerLostError: The node or the scheduler is gone, and so is the chunk.
            NodeLeftError: The node had left before the chunk reached it.
        """
        client = await self._connected()
        key = f"{self._nodes.mark}{uuid.uuid4().hex}"
        with self._server.awaiting(record.url) if self._server else nullcontext() as delivered:
            future = client.submit(
                render, request.model_dump_json(exclude_none=True), key,
                key=key, workers=[node.address], allow_other_workers=False, retries=0,
            )  # fmt: skip
            try:
                text = await result_of(future, delivered, node=node.name, place=self._place)
                answer = read_answer(text, source=f"What {node.name} returned")
            except NodeGoneError:
                self._nodes.count(node, failed=True)
                raise
            finally:
                future.release()
        self._nodes.count(node, failed=answer.error is not None and answer.error.failure is Failure.UNAVAILABLE)
        return answer

    @asynccontextmanager
    async def _slot(self, request: ChunkRequest, attempt: str) -> AsyncIterator[NodeState]:
        """A free slot of a node that can take the chunk, within the block.

        Raises:
            WorkerUnavailableError: No node could take it, even if it were idle.
        """
        requires = self.config.all_requires | request.requires
        if (task := asyncio.current_task()) is not None:
            self._waiting[attempt] = task
        try:
            with self._cluster.waiting(requires) if self._cluster else nullcontext():
                # A second attempt of a slow chunk goes to another node than the first.
                avoid = request.avoid_worker or self._nodes.beside(attempt)
                node = await self._free_node(requires, avoid=avoid)
        finally:
            self._waiting.pop(attempt, None)
        try:
            with self._nodes.having(node, requires, attempt):
                yield node
        finally:
            self._freed.set()

    async def _free_node(self, requires: Requires, *, avoid: str | None) -> NodeState:
        came, version = time.monotonic(), package_version()
        # Of the chunks that require the same, the one that came first looks for all: thousands that look cost a CPU.
        async with self._turns[requires]:
            while True:
                self._freed.clear()
                nodes, now = await self._look(came), time.monotonic()
                found = choose_node(self._nodes.view, requires, now=now, avoid=avoid)
                if found is not None:
                    return found
                reason, none_since = why_none(nodes, requires, version=version), self._none_since.get(requires, now)
                if reason is None or (self._cluster is not None and self._cluster.hope(requires, nodes)):
                    self._none_since.pop(requires, None)
                elif now - max(came, none_since) >= self.config.node_wait_seconds:
                    why_not = self._cluster.why_not(requires) if self._cluster else None
                    raise WorkerUnavailableError(f"{self._place}: {why_not or reason}")
                else:
                    self._none_since[requires] = none_since
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._freed.wait(), LOOK_SECONDS)

    @property
    def _link(self) -> FarmLink:
        return FarmLink(
            nodes=self._look,
            unplaced=lambda nodes, chunks: unplaced(
                replace(self._nodes.view, nodes=nodes), chunks, now=time.monotonic()
            ),
            is_able=lambda node, requires: why_none([node], requires, version=package_version()) is None,
            is_own=self._nodes.own.__contains__,
            leave=lambda nodes: let_go(self._client, nodes),
        )

    async def _look(self, came: float | None = None) -> list[NodeState]:
        """The nodes, as the scheduler knows them, for a chunk that came at this moment."""
        if not self._nodes.is_fresh:
            await self._nodes.look((await self._connected(came)).scheduler)
        return self._nodes.last

    async def _connected(self, came: float | None = None) -> Any:
        """The client, once its scheduler is there.

        Args:
            came: Since when the caller waits; since now when None.

        Raises:
            WorkerUnavailableError: It has been away for too long.
        """
        if self._client is None:
            await self.open()
        came = time.monotonic() if came is None else came
        while self._client is not None and self._client.status != "running":
            self._away_since = self._away_since or time.monotonic()
            if self._client.status == "closed":
                await self._disconnect()
                await self.open()
            elif time.monotonic() - max(came, self._away_since) >= self.config.scheduler_wait_seconds:
                raise WorkerUnavailableError(
                    f"{self._place} has been away for {self.config.scheduler_wait_seconds:g} s"
                )
            await asyncio.sleep(0.1)
        self._away_since = None
        return self._client

    async def _connect(self) -> Any:
        return await connect(self._token, self._security, place=self._place, seconds=self.config.scheduler_wait_seconds)

    async def _serve(self, storage: ServedStorage) -> None:
        from distributed.utils import get_ip

        prepare_folder(self._folder)
        server = FolderServer(self._folder, self._security)
        host = self.config.host or get_ip(self._token.host.strip("[]"), self._token.port)
        storage.url = f"farm://{await server.open(host)}"
        self._server = server
