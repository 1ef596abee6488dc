"""A real farm on this machine: a scheduler and nodes, each a process of its own with a folder of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from helios.own_farm.join_token import JoinToken, draw_secret
from testbed.cloud.processes import ROOT, free_port

SCHEDULER = """
import asyncio, sys
from helios.own_farm.join_token import parse_token
from helios.own_farm.scheduler import serve_farm
asyncio.run(serve_farm(parse_token(sys.argv[1]), on_ready=lambda: print("ready", flush=True)))
"""


@dataclass
class OwnFarm:
    """A running farm."""

    token: JoinToken
    """How to join it."""
    folder: Path
    """For nodes' folders and consoles."""
    scheduler: subprocess.Popen[bytes] | None = None
    """The scheduler's process."""
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """The nodes' processes, by name."""

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter; this machine hands out the files."""
        return {"type": "farm", "join": self.token.text, "folder": str(self.folder / "handed-out")}

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until nodes can join."""
        if self.scheduler is not None:
            _end(self.scheduler)
        self.scheduler = self._start([sys.executable, "-c", SCHEDULER, self.token.text], "scheduler", {}, until="ready")

    def start_node(self, name: str, *, slots: int = 2, tags: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start a node, and wait until it has joined."""
        if earlier := self.nodes.pop(name, None):
            _end(earlier)
        own = self.folder / name
        own.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "helios.own_farm", self.token.text, "--slots", str(slots), "--name", name]
        self.nodes[name] = self._start(
            [*words, *(word for tag in tags for word in ("--tag", tag))], name,
            {"HELIOS_FOLDER": str(own), "HELIOS_GRACE_SECONDS": "1", "HELIOS_COMMAND_ENV": "PYTHONPATH"},
            until="has joined",
        )  # fmt: skip
        return self.nodes[name]

    def console(self, name: str) -> str:
        """What a node, or the `scheduler`, has printed."""
        return (self.folder / f"{name}.log").read_text()

    def commands(self, node: str) -> list[psutil.Process]:
        """The commands that a node runs now: processes in its folder that are not the node's own."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder / node):
                    found.append(process)
        return found

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

    def _start(self, words: list[str], name: str, variables: dict[str, str], *, until: str) -> subprocess.Popen[bytes]:
        """Start a process, and wait until it has printed a text."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        environment.pop("HELIOS_FARM", None)
        with (self.folder / f"{name}.log").open("ab") as console:
            already = console.tell()
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, cwd=ROOT, env=environment,
                start_new_session=True,
            )  # fmt: skip
        while until not in self.console(name)[already:]:
            if process.poll() is not None:
                raise AssertionError(f"{name} ended: {self.console(name)[already:]}")
            time.sleep(0.05)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


@contextmanager
def own_farm(folder: Path, *, nodes: int = 2, slots: int = 2) -> Iterator[OwnFarm]:
    """Run a farm within the block.

    Args:
        folder: For what its processes write.
        nodes: How many, called node-0, node-1, …
        slots: Chunks at a time on each.
    """
    farm = OwnFarm(JoinToken("127.0.0.1", free_port(), draw_secret()), folder)
    with ExitStack() as stack:
        stack.callback(farm.close)
        farm.start_scheduler()
        for number in range(nodes):
            farm.start_node(f"node-{number}", slots=slots)
        yield farm
