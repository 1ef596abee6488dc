"""The flow's end of its guard; `guard.py` is the process."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from adapters.farm_cluster import guard
from helios.processes.environment import withheld_variables


def end_command(settings: BaseModel) -> list[str]:
    """The command that ends a node where no program of the cluster's does.

    Args:
        settings: Of the cluster.
    """
    return [sys.executable, "-m", "adapters.farm_cluster.end_node", settings.model_dump_json(exclude_defaults=True)]


class GuardedNodes:
    """Nodes that end by themselves once they have joined; until then a guard ends them if this process is gone."""

    _guard: "Guard | None" = None

    def has_joined(self, node_id: str) -> None:
        """Tell the guard that a node ends by itself now."""
        self._note("-", node_id)

    async def remove(self, node_id: str) -> None:
        """End what is left of a node that is over."""
        await self.cancel(node_id)

    async def cancel(self, node_id: str) -> None:
        """End a node; a child says how."""
        raise NotImplementedError

    async def close(self, *, keep_logs: bool) -> None:
        """End the guard."""
        if self._guard is not None:
            await self._guard.close()

    def _note(self, sign: str, node_id: str) -> None:
        if self._guard is not None:
            self._guard.note(sign, node_id)


class Guard:
    """A process that cancels jobs which still wait when this process is gone.

    Args:
        cancel: The words of a command to which a job's id is added.
        token_file: A file that is removed then, too.
        keeps_credentials: The command needs this process's credentials; none are given to it otherwise.
    """

    def __init__(self, cancel: Sequence[str], *, token_file: Path | None = None, keeps_credentials: bool = False):
        hidden = set() if keeps_credentials else set(withheld_variables(os.environ))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in hidden},
        )  # fmt: skip
        self._tell(json.dumps({"cancel": list(cancel), "token_file": str(token_file) if token_file else None}))

    def note(self, sign: str, job_id: str) -> None:
        """Tell of a job: `+` for one to cancel if this process dies, `-` for one that needs it no more."""
        self._tell(f"{sign}{job_id}")

    async def close(self) -> None:
        """End the guard; it cancels what was not taken back."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        await asyncio.to_thread(self._process.wait)

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):  # a guard that was killed guards nothing
                self._process.stdin.write(f"{line}\n")
                self._process.stdin.flush()
