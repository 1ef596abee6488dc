"""A real farm on this machine: a scheduler and nodes, each a process of its own with a folder of its own.

Nodes have addresses of their own, in network namespaces, where the caller wants that and the machine allows it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from helios.own_farm.join_token import JoinToken, draw_secret
from testbed.cloud.network import Network, NoNetworkError, a_network
from testbed.cloud.processes import ROOT, free_port

WRONG_CLOCK = {"PYTHONPATH": f"{ROOT / 'testbed' / 'cloud' / 'wrong_clock'}:{ROOT}"}
"""Variables of a node whose clock is two hours ahead."""
OLD_VERSION = {"PYTHONPATH": f"{ROOT / 'testbed' / 'cloud' / 'old_version'}:{ROOT}"}
"""Variables of a node that says of itself that it is of version 0.0.1."""

SCHEDULER = """
import asyncio, sys
from helios.own_farm.join_token import parse_token
from helios.own_farm.scheduler import serve_farm
asyncio.run(serve_farm(parse_token(sys.argv[1]), on_ready=lambda: print("ready", flush=True), until_eof=True))
"""
NODE = """
import os, signal, threading
from helios.own_farm.__main__ import main
from helios.processes.parent import wait_until_parent_ends

def end_with_parent():
    wait_until_parent_ends()
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=end_with_parent, daemon=True).start()
main()
"""


@dataclass
class OwnFarm:
    """A running farm."""

    token: JoinToken
    """How to join it."""
    folder: Path
    """For nodes' folders and consoles."""
    network: Network | None = None
    """The nodes' network; None where they share this machine's loopback device."""
    scheduler: subprocess.Popen[bytes] | None = None
    """The scheduler's process."""
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """The nodes' processes, by name."""
    _alive: tuple[int, int] = field(default_factory=os.pipe)
    """A pipe of which every process reads one end and this one holds the other, so that they end with it."""
    _told: dict[str, int] = field(default_factory=dict)
    """How much of a console `news` has told, by the process's name."""
    _read: dict[str, int] = field(default_factory=dict)
    """How much of a console has been looked at, by the process's name."""

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter; this machine hands out the files."""
        return {"type": "farm", "join": self.token.text, "folder": str(self.folder / "handed-out")}

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until nodes can join."""
        if self.scheduler is not None:
            _end(self.scheduler)
        self.scheduler = self._start([sys.executable, "-c", SCHEDULER, self.token.text], "scheduler", {})
        self._await("scheduler", self.scheduler, "ready")

    def start_node(
        self, name: str, *, slots: int = 2, tags: tuple[str, ...] = (), variables: Mapping[str, str] | None = None,
        chunks_per_gpu: int = 1, wait: bool = True,
    ) -> subprocess.Popen[bytes]:  # fmt: skip
        """Start a node, and wait until it has joined.

        Args:
            name: Its name; a node of this name that runs is ended first.
            slots: Chunks at a time.
            tags: What it can do.
            variables: More of its environment.
            chunks_per_gpu: Chunks that may share a GPU.
            wait: Whether to wait; `await_node` can do that later, when others have been started too.
        """
        if earlier := self.nodes.pop(name, None):
            _end(earlier)
        own = self.folder / name
        own.mkdir(exist_ok=True)
        words = [sys.executable, "-c", NODE, self.token.text, "--slots", str(slots), "--name", name]
        words += ["--chunks-per-gpu", str(chunks_per_gpu)]
        if self.network is not None:
            self.network.join(name)
            words = [*self.network.words(name), *words]
        given = {"HELIOS_FOLDER": str(own), "HELIOS_GRACE_SECONDS": "1", "HELIOS_COMMAND_ENV": "PYTHONPATH"}
        self.nodes[name] = self._start(
            [*words, *(word for tag in tags for word in ("--tag", tag))], name, {**given, **(variables or {})}
        )
        if wait:
            self.await_node(name)
        return self.nodes[name]

    def await_node(self, name: str) -> None:
        """Wait until a node says that it has joined; once more after it was away."""
        self._await(name, self.nodes[name], "has joined")

    def stop_node(self, name: str) -> None:
        """End a node for good."""
        _end(self.nodes.pop(name))

    def console(self, name: str) -> str:
        """What a node, or the `scheduler`, has printed."""
        return (self.folder / f"{name}.log").read_text()

    def news(self, name: str) -> list[str]:
        """The lines that a node, or the `scheduler`, has printed since this was last asked."""
        console = self.console(name)
        begin, self._told[name] = self._told.get(name, 0), len(console)
        return console[begin:].splitlines()

    def commands(self, node: str) -> list[psutil.Process]:
        """The commands that a node runs now: processes in its folder that are not the node's own."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder / node):
                    found.append(process)
        return found

    def all_of(self, node: str) -> list[psutil.Process]:
        """Every process of a node: its own, its guardian's, its commands'."""
        own = psutil.Process(self.nodes[node].pid)
        found = {process.pid: process for process in [own, *own.children(recursive=True), *self.commands(node)]}
        return list(found.values())

    def signal_all(self, node: str, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to every process of a node at once, as if the machine had it; to which ones."""
        found = self.all_of(node)
        for process in found:
            with suppress(psutil.Error):
                process.send_signal(number)
        return found

    @contextmanager
    def frozen(self, node: str) -> Iterator[list[psutil.Process]]:
        """Stop every process of a node within the block; these and no others go on then, or when this process dies."""
        found = self.signal_all(node, signal.SIGSTOP)
        while len(self.all_of(node)) > len(found):  # one was started while others were stopped
            found = self.signal_all(node, signal.SIGSTOP)
        thaw = ["sh", "-c", 'cat; kill -CONT "$@" 2> /dev/null', "thaw", *(str(process.pid) for process in found)]
        with subprocess.Popen(thaw, stdin=subprocess.PIPE, start_new_session=True) as thawing:
            try:
                yield found
            finally:
                assert thawing.stdin is not None
                thawing.stdin.close()

    @contextmanager
    def killing(self, node: str) -> Iterator[threading.Event]:
        """Kill a node as soon as it renders; the event says whether it was. Its commands end by themselves."""
        killed, over = threading.Event(), threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                if self.commands(node):
                    self.nodes[node].kill()
                    killed.set()
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield killed
        finally:
            over.set()
            watcher.join()

    def close(self) -> None:
        """End every process."""
        for process in [*self.nodes.values(), *([self.scheduler] if self.scheduler else [])]:
            _end(process)
        for end in self._alive:
            os.close(end)

    def _start(self, words: list[str], name: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        environment.pop("HELIOS_FARM", None)
        with (self.folder / f"{name}.log").open("ab") as console:
            self._read[name] = console.tell()
            return subprocess.Popen(
                words, stdin=self._alive[0], stdout=console, stderr=console, cwd=ROOT, env=environment,
                start_new_session=True,
            )  # fmt: skip

    def _await(self, name: str, process: subprocess.Popen[bytes], text: str) -> None:
        """Wait until a process has printed a text, once more than it was waited for."""
        while (found := self.console(name).find(text, self._read[name])) < 0:
            if process.poll() is not None:
                raise AssertionError(f"{name} ended: {self.console(name)[self._read[name] :]}")
            time.sleep(0.05)
        self._read[name] = found + len(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


@contextmanager
def own_farm(
    folder: Path, *, nodes: int = 2, slots: int = 2, apart: Callable[[str], None] | None = None
) -> Iterator[OwnFarm]:
    """Run a farm within the block.

    Args:
        folder: For what its processes write.
        nodes: How many, called node-0, node-1, …
        slots: Chunks at a time on each.
        apart: Give nodes addresses of their own, or say here why that can't be, and let them share this machine's.
    """
    with ExitStack() as stack:
        network = None
        if apart is not None:
            try:
                network = stack.enter_context(a_network())
            except NoNetworkError as exc:
                apart(f"Nodes have no addresses of their own: {exc}")
        host = network.host if network is not None else "127.0.0.1"
        farm = OwnFarm(JoinToken(host, free_port(), draw_secret()), folder, network)
        stack.callback(farm.close)
        farm.start_scheduler()
        for number in range(nodes):
            farm.start_node(f"node-{number}", slots=slots, wait=False)
        for number in range(nodes):
            farm.await_node(f"node-{number}")
        yield farm
