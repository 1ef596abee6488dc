"""One job of the bench: its plan, its allowed executions, and the notes of its commands and Prefect's records."""

import hashlib
import json
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun

from faults.farm import Farm
from faults.outcome import Outcome
from faults.scenario import Fault, Scenario
from testbed.cloud.own_farm import OwnFarm

MOST_NUMBER = 2000
"""Of chunks that are cut on the way: more than all launches of a job cut together."""


class Trial:
    """One job.

    Args:
        scenario: The job and its faults.
        farm: What it runs on.
        patience: Factor of time limits, for a machine under other load.
        own_farm: The farm of the job's nodes, for a job that runs on one.
    """

    def __init__(
        self, scenario: Scenario, farm: Farm, *, patience: float = 1.0, own_farm: OwnFarm | None = None
    ) -> None:
        self.scenario = scenario
        self.patience = patience
        self.farm = farm
        self.own_farm = own_farm
        self.outcome = Outcome(scenario)
        self.folder = farm.folder / f"seed-{scenario.seed}"
        self.directory = self.folder / "job"
        self.notes = self.folder / "notes"
        self.mark = f"HELIOS_FAULTS=seed-{scenario.seed}-"
        self.dice = random.Random(scenario.seed + 1)  # noqa: S311  not for secrets
        self.due = dict.fromkeys(self.starts.values(), 1)
        """Allowed executions of each chunk so far: one, and one more for each reason."""
        self.slack = 0
        """Further allowed executions, of any chunks."""
        self.run: FlowRun | None = None
        """Its flow run."""
        self.by_worker = False
        """Whether a Prefect worker starts its processes."""
        self.parameters: dict[str, Any] = {}
        """The flow's parameters."""

    def adapter(self) -> dict[str, Any]:
        """The adapter's configuration."""
        name, _, value = self.mark.partition("=")
        env = {name: value, "PATH": "/usr/bin:/bin"}
        if self.own_farm is not None:
            return {**self.own_farm.config, "env": env, "folder": str(self.folder / "handed-out")}
        if not self.scenario.on_lambda:
            return {"type": "local", "env": env, "grace_seconds": 1}
        assert self.farm.amazon is not None
        is_event = any(planned.fault is Fault.EVENT_TWICE for planned in self.scenario.strikes)
        return {**self.farm.amazon.config, "env": env, "mode": "async" if is_event else "sync"}

    @property
    def starts(self) -> dict[int, int]:
        """Chunks by what tells them in notes and commands: the first frame; the number where the job grows."""
        if self.scenario.grows:
            return {number: number for number in range(MOST_NUMBER)}
        starts, frame = {}, self.scenario.start
        for index, count in enumerate(self.scenario.lengths):
            starts[frame] = index
            frame += count
        return starts

    def executed(self) -> Counter[int]:
        """How often each chunk's command was started, by its own notes."""
        starts = self.starts
        return Counter(starts[int(note.name.split(".")[0])] for note in self.notes.glob("*.begun"))

    def begun_not_ended(self) -> Counter[int]:
        """Chunks whose commands run now, or were killed."""
        starts = self.starts
        ended = {note.name.removesuffix(".ended") for note in self.notes.glob("*.ended")}
        return Counter(
            starts[int(note.name.split(".")[0])]
            for note in self.notes.glob("*.begun")
            if note.name.removesuffix(".begun") not in ended
        )

    def begun_since(self, before: Counter[int]) -> set[int]:
        """Chunks whose commands began since `before` was counted."""
        return set(self.executed() - before)

    def records(self) -> list[Path]:
        """The result files of the job's chunks."""
        name = f"seed-{self.scenario.seed}-*" if self.scenario.has_id else f"run-{self.run.id if self.run else ''}-*"
        return [path for folder in self.farm.result_storage.glob(name) for path in folder.glob("chunk-*")]

    def recorded(self) -> set[int]:
        """Chunks that have a whole result in Prefect and an output that matches it."""
        found = set()
        for path in self.records():
            with suppress(ValueError, OSError, KeyError, TypeError):
                result = json.loads(json.loads(path.read_text())["result"])["data"]
                artifact, chunk = result["artifact"], int(path.name.split("-")[1])
                content = (self.directory / f"chunk-{chunk}.mp4").read_bytes()
                if hashlib.sha256(content).hexdigest() == artifact["sha256"] and result["chunkId"] == chunk:
                    found.add(chunk)
        return found


def log_of(outcome: Outcome, farm: Farm) -> str:
    """The last lines of a job's own log."""
    log = farm.folder / f"seed-{outcome.scenario.seed}" / "log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:]) if log.exists() else ""
