"""A node: one machine's place in a farm, until it is stopped. It comes back by itself when its scheduler does."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from helios.errors import RequestError
from helios.gpus import GpuPool, gpu_names
from helios.models.requires import MAX_GPUS
from helios.models.sandbox import SandboxKind, stricter
from helios.own_farm.certificates import farm_security
from helios.own_farm.engine import close_http, is_refusal, set_up_engine
from helios.own_farm.hours import Hours, parse_hours
from helios.own_farm.join_token import JoinToken
from helios.own_farm.node_folder import node_folder
from helios.own_farm.node_state import METRIC, SANDBOX_TAG
from helios.own_farm.peer_delivery import PeerDelivery
from helios.own_farm.peer_storage import PeerStorage
from helios.own_farm.work import NodeWork, become
from helios.processes.own_memory import hide_memory
from helios.processes.sandbox import sandbox_of
from helios.sizes import parse_size
from helios.storage.by_url import OTHER_STORES
from helios.storage.urls import split_url
from helios.variables import FARM
from helios.worker.delivery import OTHER_WAYS
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings

AGAIN_SECONDS = (0.5, 1.0, 2.0, 5.0)
"""Between tries to join; the last one repeats."""
IDLE_LOOK_SECONDS = 0.5
"""How often a node with a limit looks whether it has something to do."""
CANCEL_POLL_SECONDS = 1.0
"""How often a chunk looks into storage whether its flow has called it off."""


@dataclass(frozen=True)
class NodeSettings:
    """What a machine's owner decides."""

    slots: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))
    """Chunks at a time."""
    tags: frozenset[str] = frozenset()
    """What the machine can do."""
    gpus: tuple[str, ...] = ()
    """Its GPUs, as `helios.gpus` names them."""
    chunks_per_gpu: int = 1
    """How many chunks may share one of them."""
    memory: int = field(default_factory=lambda: psutil.virtual_memory().total)
    """Bytes of memory that chunks may require together."""
    hours: Hours | None = None
    """When it takes chunks; always when None."""
    name: str = field(default_factory=socket.gethostname)
    """The machine's name on the farm."""
    host: str | None = None
    """The address by which the others reach this machine; found by the way to the scheduler when None."""
    port: int = 0
    """Where the node listens; any free port when 0."""
    drain_seconds: float = 600.0
    """How long chunks may go on after SIGTERM."""
    sandbox: SandboxKind | None = None
    """The sandbox that every command runs in; that of HELIOS_SANDBOX when None."""
    idle_seconds: float | None = None
    """The node ends when it has had nothing to do for so long, in the farm or on its way there; never when None."""


TAG = re.compile(r"[\w.+-]{1,64}")


def node_settings(
    *, slots: int | None, tags: Collection[str], name: str | None, host: str | None, port: int | None,
    gpus: int | None = None, memory: str | None = None, hours: str | None = None, drain_seconds: float = 600.0,
    idle_seconds: float | None = None, sandbox: str | None = None, chunks_per_gpu: int | None = None,
) -> NodeSettings:  # fmt: skip
    """Settings of which None means the usual.

    Raises:
        RequestError: A tag, the name, the memory or the hours are none; or there are fewer GPUs.
    """
    for word in [*tags, *([name] if name is not None else [])]:
        if not TAG.fullmatch(word):
            raise RequestError(f"{word!r} can't be a tag or a name; expected letters, digits, '.', '-', '+' and '_', "
                               "at most 64")  # fmt: skip
    if slots is not None and slots < 1:
        raise RequestError(f"{slots} slots are none; expected 1 or more")
    if chunks_per_gpu is not None and not 1 <= chunks_per_gpu <= MAX_GPUS:
        raise RequestError(f"{chunks_per_gpu} chunks on a GPU; expected 1 to {MAX_GPUS}")
    given = {
        "slots": slots, "chunks_per_gpu": chunks_per_gpu, "name": name, "host": host, "port": port,
        "memory": None if memory is None else parse_size(memory),
        "hours": None if hours is None else parse_hours(hours),
    }  # fmt: skip
    known: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return NodeSettings(
        tags=frozenset(tags), gpus=gpu_names(gpus), drain_seconds=drain_seconds, idle_seconds=idle_seconds,
        sandbox=SandboxKind(sandbox) if sandbox else None, **known,
    )  # fmt: skip


class Node:
    """Keeps a machine in a farm.

    Args:
        token: Which farm.
        settings: What its owner decides.
        say: Takes the lines of its console.

    Raises:
        RequestError: Commands are to run in a sandbox that does not work here.
    """

    def __init__(self, token: JoinToken, settings: NodeSettings, *, say: Callable[[str], None]) -> None:
        self._token = token
        self._settings = settings
        self._say = say
        worker = WorkerSettings.from_environment(trusted=True)
        worker = replace(
            worker, name=settings.name, cancel_poll_seconds=CANCEL_POLL_SECONDS, is_ending=lambda: self._work.draining,
            sandbox=stricter(settings.sandbox, worker.sandbox),
        )  # fmt: skip
        self._settings = settings = replace(settings, sandbox=worker.sandbox, tags=settings.tags | _own_tags())
        # Two nodes on one machine have one name there, and a name of their own on the farm.
        name = f"{settings.name}-{os.getpid()}"
        self._work = NodeWork(
            WorkerRuntime(worker), name=name, slots=settings.slots, tags=settings.tags, memory=settings.memory,
            gpus=GpuPool(settings.gpus, chunks_per_gpu=settings.chunks_per_gpu), hours=settings.hours, leave=self._stop,
        )  # fmt: skip
        self._stopping = asyncio.Event()
        self._worker: Any = None
        self._joined = 0.0

    async def run(self) -> None:
        """Be a node until SIGTERM or SIGINT: chunks that run are finished first; a second signal ends them.

        Raises:
            RequestError: The farm has another secret.
        """
        hide_memory()
        set_up_engine()
        become(self._work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        stopping = asyncio.create_task(self._stopping.wait())
        idling = asyncio.create_task(self._end_when_idle())
        tries = 0
        with node_folder(self._work.runtime.settings.folder) as folder:
            while not self._stopping.is_set():
                member = asyncio.create_task(self._be_member(folder))
                await asyncio.wait([member, stopping], return_when=asyncio.FIRST_COMPLETED)
                if not member.done():
                    await self._drain()
                    await self._leave()
                    await asyncio.wait([member])
                    break
                tries = 0 if member.result() else tries + 1
                pause = AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)]
                await asyncio.wait([stopping], timeout=pause)
        stopping.cancel()
        idling.cancel()
        self._say("The node has left the farm")

    def _on_signal(self) -> None:
        if not self._stopping.is_set():
            self._stop()
        else:
            self._work.runtime.stop()

    def _stop(self) -> None:
        self._work.draining = True
        self._stopping.set()

    async def _end_when_idle(self) -> None:
        limit, busy = self._settings.idle_seconds, time.monotonic()
        while limit is not None and not self._stopping.is_set():
            await asyncio.sleep(IDLE_LOOK_SECONDS)
            # What the scheduler has given to this node, also before it begins.
            given = self._worker is not None and self._worker.state.tasks
            if self._work.running or given or self._joined > busy:
                busy = time.monotonic()
            elif time.monotonic() - busy >= limit:
                self._say(f"Nothing to do for {limit:g} s: the node ends")
                self._stop()

    async def _be_member(self, folder: Path) -> bool:
        """Join, and wait for the scheduler's end; whether the node was in the farm."""
        from distributed import Worker

        try:
            self._worker = self._work.worker = await Worker(
                self._token.address,
                nthreads=self._settings.slots,
                name=self._work.name,
                host=self._settings.host,
                port=self._settings.port,
                protocol="tls",
                security=farm_security(self._token.secret),
                memory_limit=0,
                local_directory=str(folder),
                metrics={METRIC: self._work.state},
                dashboard=False,
                dashboard_address="127.0.0.1:0",
                death_timeout=10,
            )
        except (OSError, TimeoutError, RuntimeError, ValueError) as exc:
            if is_refusal(exc):
                raise RequestError(
                    f"The farm at {self._token.host}:{self._token.port} has another secret than this join token; take "
                    "the token that `helios-job farm start` prints there"
                ) from None
            self._say(f"No farm at {self._token.host}:{self._token.port} yet ({_words(exc)}); trying again")
            return False
        close_http(self._worker)
        pool, loop = self._worker.rpc, asyncio.get_running_loop()
        OTHER_STORES["farm"] = lambda url: PeerStorage(url, pool, loop=loop)
        OTHER_WAYS["farm"] = self._delivery
        self._say(f"{self._work.name} has joined the farm at {self._token.host}:{self._token.port}: "
                  f"{describe(self._settings)}")  # fmt: skip
        self._joined = time.monotonic()
        await self._worker.finished()
        if not self._stopping.is_set():
            self._say("The farm's scheduler is gone; trying again until it is back")
        return True

    def _delivery(self, url: str, execution: str) -> PeerDelivery:
        storage = PeerStorage(split_url(url)[0], self._worker.rpc)
        return PeerDelivery(url, execution, storage=storage, called_off=self._work.called_off(url))

    async def _drain(self) -> None:
        """Take nothing new, and let what runs finish within its time."""
        from distributed.core import Status

        if self._worker is not None and self._worker.status is Status.running:
            self._worker.status = Status.paused
        if not self._work.running:
            return
        self._say(f"Stopping: {len(self._work.running)} chunks finish first; stop once more to end them")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._work.idle.wait()
        self._work.runtime.stop()
        await self._work.idle.wait()

    async def _leave(self) -> None:
        if self._worker is not None:
            await asyncio.sleep(0.2)  # the last answer is on its way
            await self._worker.close(nanny=False, reason="the node was stopped")


def describe(settings: NodeSettings) -> str:
    """What a node offers, for people."""
    tags = f", tags {', '.join(sorted(settings.tags))}" if settings.tags else ""
    shared = f" with {settings.chunks_per_gpu} chunks on each" if settings.chunks_per_gpu > 1 else ""
    gpus = f", {len(settings.gpus)} GPUs{shared}" if settings.gpus else ""
    hours = f", from {settings.hours.begin:%H:%M} to {settings.hours.end:%H:%M}" if settings.hours else ""
    sandbox = f", commands in {settings.sandbox}" if settings.sandbox else ""
    return f"{settings.slots} chunks at a time{gpus}{tags}{hours}{sandbox}"


def _own_tags() -> frozenset[str]:
    """The tag by which flows that ask for a sandbox find the nodes where it works."""
    try:
        sandbox_of(SandboxKind.BUBBLEWRAP)
    except RequestError:
        return frozenset()
    return frozenset({SANDBOX_TAG})


def systemd_unit(command: str, token: JoinToken, *, drain_seconds: float) -> str:
    """A unit file that keeps a node running on this machine, for `systemctl --user` or the system's."""
    return "\n".join([
        "[Unit]", "Description=Node of a Helios render farm", "After=network-online.target", "",
        "[Service]", f"ExecStart={command}", f"Environment={FARM}={token.text}",
        "Restart=always", "RestartSec=5", "KillMode=mixed", f"TimeoutStopSec={drain_seconds + 60:.0f}",
        f"WorkingDirectory={Path.home()}", "", "[Install]", "WantedBy=default.target", "",
    ])  # fmt: skip


def _words(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:120] or type(exc).__name__
