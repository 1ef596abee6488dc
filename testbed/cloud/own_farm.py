"""A real farm on this machine: a scheduler and nodes, each a process of its own with a folder of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helios.own_farm.join_token import JoinToken, draw_secret
from testbed.cloud.processes import ROOT, free_port


@dataclass
class OwnFarm:
    """A running farm."""

    token: JoinToken
    """How to join it."""
    folder: Path
    """For nodes' folders and consoles."""
    scheduler: subprocess.Popen[str] | None = None
    """The scheduler's process."""
    nodes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    """The nodes' processes, by name."""

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter; this machine hands out the files."""
        return {"type": "farm", "join": self.token.text, "folder": str(self.folder / "handed-out")}

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until nodes can join."""
        code = ("import asyncio, sys\nfrom helios.own_farm.join_token import parse_token\n"
                "from helios.own_farm.scheduler import serve_farm\n"
                "asyncio.run(serve_farm(parse_token(sys.argv[1]), on_ready=lambda: print('ready', flush=True)))")  # fmt: skip
        self.scheduler = self._start([sys.executable, "-c", code, self.token.text], "scheduler", {})
        assert self.scheduler.stdout is not None
        assert self.scheduler.stdout.readline() == "ready\n"

    def start_node(self, name: str, *, slots: int = 2, tags: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a node, and wait until it has joined."""
        own = self.folder / name
        own.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "helios.own_farm", self.token.text, "--slots", str(slots), "--name", name]
        process = self._start(
            [*words, *(word for tag in tags for word in ("--tag", tag))], name,
            {"HELIOS_FOLDER": str(own), "HELIOS_GRACE_SECONDS": "1", "HELIOS_COMMAND_ENV": "PYTHONPATH"},
        )  # fmt: skip
        self.nodes[name] = process
        assert process.stdout is not None
        while line := process.stdout.readline():
            if "has joined" in line:
                return process
        raise AssertionError(f"the node {name} ended: {(self.folder / f'{name}.log').read_text()}")

    def close(self) -> None:
        """End every process."""
        for process in [*self.nodes.values(), *([self.scheduler] if self.scheduler else [])]:
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                if process.poll() is None:
                    process.send_signal(number)
                    try:
                        process.wait(5)
                    except subprocess.TimeoutExpired:
                        continue
            if process.stdout is not None:
                process.stdout.close()

    def _start(self, words: list[str], name: str, variables: dict[str, str]) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        environment.pop("HELIOS_FARM", None)
        with (self.folder / f"{name}.log").open("ab") as errors:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
                env=environment, start_new_session=True,
            )  # fmt: skip


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
