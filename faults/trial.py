"""One job of the bench: launched, struck, resumed to its end, and looked at."""

import asyncio
import hashlib
import json
import random
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Pending

from farm.dead_runs import mark_dead_runs
from farm.runs import START_PATIENCE, find_run
from faults.farm import Farm, is_alive, mount, processes_of, unmount
from faults.film import refusals
from faults.scenario import Fault, Scenario
from faults.strikes import BETWEEN_RUNS, IN_THE_COMMAND, Stage, strike
from flows.render import render_job
from helios.models.report import JobReport, RunState
from tasks.prefect_api.states import job_state, to_be_resumed
from testbed.video import read_numbers

MAX_LAUNCHES = 12
GONE_SECONDS = 5.0
LAUNCH_SECONDS = 150.0
COUNT_SECONDS = 0.3
"""What was ordered before a death has begun after this, and counts as in flight; what ignores SIGTERM goes on."""


@dataclass
class Outcome:
    """What came of a job."""

    scenario: Scenario
    fired: Counter[Fault] = field(default_factory=Counter)
    """How often each fault happened."""
    wrong_frames: int = 0
    """Frames that are missing, repeated, or out of order in the video."""
    orphans: int = 0
    """Processes that were there longer than they may be."""
    avoidable: int = 0
    """Executions of chunks for which there was no reason."""
    executions: int = 0
    launches: int = 0
    problems: list[str] = field(default_factory=list)
    """What else is not as it should be, in words."""
    gone_seconds: float = 0.0
    """The longest time from a death until the last process was gone."""
    duration_seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether everything is as promised."""
        return not (self.wrong_frames or self.orphans or self.avoidable or self.problems)


class Trial:
    """One job.

    Args:
        scenario: What happens to it.
        farm: What it runs on.
        patience: By how much limits of time are stretched, for a machine that does other things too.
    """

    def __init__(self, scenario: Scenario, farm: Farm, *, patience: float = 1.0) -> None:
        self.scenario = scenario
        self.patience = patience
        self.farm = farm
        self.outcome = Outcome(scenario)
        self.folder = farm.folder / f"seed-{scenario.seed}"
        self.directory = self.folder / "job"
        self.notes = self.folder / "notes"
        self.mark = f"HELIOS_FAULTS=seed-{scenario.seed}-"
        self.dice = random.Random(scenario.seed + 1)  # noqa: S311  not for secrets
        self.due = dict.fromkeys(range(len(scenario.lengths)), 1)
        """How often each chunk may have been executed, by now: once, and once more for each reason."""
        self.slack = 0
        """Executions for which there was a reason, of whichever chunks."""
        self.run: FlowRun | None = None
        """Its flow run."""
        self.by_worker = False
        """Whether a Prefect worker starts its processes."""

    async def carry_out(self) -> Outcome:
        """Run the job to its end, however often that takes, and look at everything."""
        started = time.monotonic()
        try:
            await self._prepare()
            await self._launch_until_done()
            await self._check()
        except Exception as exc:  # noqa: BLE001  a trial that fails is a finding of its own
            self.outcome.problems.append(f"{type(exc).__name__}: {exc}")
        finally:
            for process in processes_of(self.mark):
                with suppress(psutil.Error):
                    process.kill()
            unmount(self.directory)
            self.outcome.duration_seconds = time.monotonic() - started
            if self.outcome.is_good:
                shutil.rmtree(self.folder, ignore_errors=True)
        return self.outcome

    async def _prepare(self) -> None:
        scenario = self.scenario
        for folder in (self.directory, self.notes):
            folder.mkdir(parents=True)
        for planned in scenario.strikes:
            if planned.fault is Fault.DISK_FULL:
                mount(self.directory)
            if planned.fault in IN_THE_COMMAND:
                self.due[planned.chunk] += refusals(planned.how)
        document = self.directory / "job.json"
        document.write_text(json.dumps(await asyncio.to_thread(self.farm.film.job, scenario, self.notes)))
        self.parameters = {
            "job": str(document),
            "adapter": self._adapter(),
            "concurrency": scenario.concurrency,
            "retries": 3,
            "retry_delay_seconds": 0.05,
            "environment_retries": 20,
        }
        client = self.farm.client
        self.by_worker = any(planned.fault is Fault.KILL_WORKER for planned in scenario.strikes)
        if self.by_worker:
            deployment = await self.farm.deployment()
            self.run = await client.create_flow_run_from_deployment(deployment, parameters=self.parameters)
        else:
            self.run = await client.create_flow_run(render_job, parameters=self.parameters, state=Pending())

    def _adapter(self) -> dict[str, Any]:
        name, _, value = self.mark.partition("=")
        env = {name: value, "PATH": "/usr/bin:/bin"}
        if not self.scenario.on_lambda:
            return {"type": "local", "env": env, "grace_seconds": 1}
        assert self.farm.amazon is not None
        is_event = any(planned.fault is Fault.EVENT_TWICE for planned in self.scenario.strikes)
        return {**self.farm.amazon.config, "env": env, "mode": "async" if is_event else "sync"}

    async def _launch_until_done(self) -> None:
        planned = [one for one in self.scenario.strikes if one.fault not in IN_THE_COMMAND]
        missed = 0
        while self.outcome.launches < MAX_LAUNCHES:
            now = planned[0] if planned else None
            state = await self._launch(now)
            if now is not None:
                if self.outcome.fired[now.fault] or missed >= 3:
                    planned.pop(0)
                    missed = 0
                else:
                    missed += 1
            if state is RunState.COMPLETED:
                if not planned:
                    return
                await self._undo_some()
        self.outcome.problems.append(f"not completed after {MAX_LAUNCHES} launches")

    async def _launch(self, planned: Any) -> RunState:
        """Start the flow's process, strike it, and wait for its end."""
        outcome, client = self.outcome, self.farm.client
        assert self.run is not None
        outcome.launches += 1
        before = self.executed()
        if outcome.launches > 1:
            await client.set_flow_run_state(self.run.id, to_be_resumed(), force=True)
        (self.folder / "jump").unlink(missing_ok=True)
        stage = Stage(self, by_command=outcome.launches > 1 and self.scenario.resumed_by_command and not self.by_worker)
        await stage.start()
        striking = asyncio.create_task(strike(stage, planned)) if planned else None
        limit = LAUNCH_SECONDS * self.patience
        try:
            await asyncio.wait_for(self._end_of(stage), limit)
        except TimeoutError:
            outcome.problems.append(f"launch {outcome.launches} did not end within {limit:g} s")
        if not stage.ended.is_set():
            stage.kill()
            await stage.ended.wait()
        if striking is not None:
            await striking  # what it has stopped, or filled, goes on, or is emptied
        if planned and planned.fault is Fault.TWICE and stage.was_killed:
            await asyncio.sleep(COUNT_SECONDS * self.patience)
        else:
            await self._await_gone(stage)
        for chunk in self._begun_since(before) - self.recorded():
            self.due[chunk] += 1
        if self.scenario.on_lambda and stage.was_killed:
            self.slack += self.scenario.concurrency  # invocations whose command had not begun
        if planned and planned.fault in BETWEEN_RUNS:
            self._damage(planned)
        await self._await_end_of_flow(stage)
        # Whoever looks marks the dead; twice, since a first look may meet what the process asked for as it died.
        for _ in range(2):
            await mark_dead_runs(client)
        state = job_state((await client.read_flow_run(self.run.id)).state)
        if state in (RunState.RUNNING, RunState.STITCHING, RunState.PAUSED):
            outcome.problems.append(f"after its process ended, the run is {state}")
        return state

    async def _end_of(self, stage: Stage) -> None:
        """Wait for its end; or until it is clear that its Prefect worker took the run and could not start it.

        On a busy machine Prefect's server answers 503, and its worker gives such a run up without a word. The job can
        be resumed then, and is.
        """
        while not stage.ended.is_set():
            await asyncio.sleep(0.1)
            if not self.by_worker or stage.flow is not None or self.run is None:
                continue
            state = (await self.farm.client.read_flow_run(self.run.id)).state
            if state is None or state.type is not StateType.PENDING:
                continue
            if datetime.now(UTC) - state.timestamp > START_PATIENCE:
                return

    async def _await_gone(self, stage: Stage) -> None:
        """Wait until no process of the job is left; the orchestrator's own must go soon."""
        is_remote = self.scenario.on_lambda
        started = time.monotonic()
        limit = (30.0 if is_remote else GONE_SECONDS) * self.patience
        while left := self._left(stage):
            if time.monotonic() - started > limit:
                self.outcome.orphans += len(left)
                return
            await asyncio.sleep(0.02)
        if stage.was_killed and not is_remote:
            self.outcome.gone_seconds = max(self.outcome.gone_seconds, time.monotonic() - stage.ended_at)

    def _left(self, stage: Stage) -> list[psutil.Process]:
        """Processes of the job; with the guardian, which may be about to start one."""
        guardian = [stage.last_guardian] if stage.last_guardian and is_alive(stage.last_guardian) else []
        return processes_of(self.mark) + guardian

    async def _await_end_of_flow(self, stage: Stage) -> None:
        """Of a Prefect worker that was killed, the flow's process ends by itself."""
        deadline = time.monotonic() + 20 * self.patience
        while stage.flow is not None and is_alive(stage.flow):
            if time.monotonic() > deadline:
                self.outcome.problems.append("the flow's process outlived its worker by 20 s")
                return
            await asyncio.sleep(0.02)

    def _damage(self, planned: Any) -> None:
        """Delete, cut or replace one file, between two launches."""
        chunk = self.dice.randrange(len(self.scenario.lengths))
        if planned.fault is Fault.OUTPUT:
            files = list(self.directory.glob(f"chunk-{chunk}.mp4"))
        else:
            files = [path for path in self._records() if path.name.startswith(f"chunk-{chunk}-")]
        if not files or chunk not in self.recorded():
            return
        (path,) = files
        match planned.how:
            case 0:
                path.unlink()
            case 1:
                path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
            case _:
                others = [other for other in path.parent.glob("chunk-*") if other.name.split("-")[1] != str(chunk)]
                if not others:
                    return
                path.write_bytes(self.dice.choice(others).read_bytes())
        self.due[chunk] += 1
        self.outcome.fired[planned.fault] += 1

    async def _undo_some(self) -> None:
        """A job that is done before everything happened to it gets some work again."""
        (self.directory / "video.mp4").unlink(missing_ok=True)
        for chunk in self.dice.sample(range(len(self.scenario.lengths)), k=max(len(self.scenario.lengths) // 2, 1)):
            (self.directory / f"chunk-{chunk}.mp4").unlink(missing_ok=True)
            self.due[chunk] += 1

    async def _check(self) -> None:
        """Look at the video, the processes, the files, the states and the report."""
        outcome, scenario = self.outcome, self.scenario
        wanted = list(range(scenario.start, scenario.start + sum(scenario.lengths)))
        found = await asyncio.to_thread(read_numbers, self.directory / "video.mp4")
        if found != wanted:
            outcome.wrong_frames = max(sum(a != b for a, b in zip(found, wanted, strict=False)),
                                       abs(len(found) - len(wanted)), 1)  # fmt: skip
        executed = self.executed()
        outcome.executions = executed.total()
        for planned in scenario.strikes:
            if planned.fault in IN_THE_COMMAND and executed[planned.chunk] > refusals(planned.how):
                outcome.fired[planned.fault] += 1
        excess = {chunk: executed[chunk] - due for chunk, due in self.due.items() if executed[chunk] > due}
        outcome.avoidable = max(sum(excess.values()) - self.slack, 0)
        if outcome.avoidable:
            outcome.problems += [
                f"chunk {chunk} was executed {executed[chunk]} times; {self.due[chunk]} had a reason"
                for chunk in excess
            ]
        names = {f"chunk-{index}.mp4" for index in range(len(scenario.lengths))} | {"job.json", "video.mp4", ".helios"}
        if left := sorted({path.name for path in self.directory.iterdir()} - names):
            outcome.problems.append(f"files left: {left}")
        if scenario.on_lambda:
            await self._check_storage()
        await self._check_states()

    async def _check_states(self) -> None:
        outcome = self.outcome
        assert self.run is not None
        state = (await self.farm.client.read_flow_run(self.run.id)).state
        assert state is not None
        report = JobReport.model_validate(await state.aresult())
        counts = (report.state, report.frames, sum(chunk.state is RunState.COMPLETED for chunk in report.chunks))
        if counts != (RunState.COMPLETED, sum(self.scenario.lengths), len(self.scenario.lengths)):
            outcome.problems.append(f"the report says {counts}")
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[self.run.id]))
        deadline = time.monotonic() + 60
        while True:
            status = await find_run(self.farm.client, str(self.run.id))
            unfinished = await self.farm.client.read_task_runs(
                flow_run_filter=mine,
                task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}),
            )
            done = await self.farm.client.read_task_runs(
                flow_run_filter=mine,
                task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": ["COMPLETED"]}}}),
            )
            missing = {f"chunk-{chunk}" for chunk in self.due} - {task_run.name for task_run in done}
            if status.state is RunState.COMPLETED and not unfinished and not missing and status.holder is None:
                return
            if time.monotonic() > deadline:
                outcome.problems.append(
                    f"in the API: {status.state}, held by {status.holder}, {len(unfinished)} task runs unfinished "
                    f"({[(task_run.name, str(task_run.id)) for task_run in unfinished[:3]]}), without an end: {missing}"
                )
                return
            await asyncio.sleep(0.6)

    async def _check_storage(self) -> None:
        assert self.farm.amazon is not None
        from adapters import create_adapter

        storage = create_adapter(self._adapter())[1].storage  # type: ignore[attr-defined]
        key = f"seed-{self.scenario.seed}-" if self.scenario.has_id else str(self.run.id if self.run else "")
        deadline = time.monotonic() + 15
        while left := [name async for name, _ in storage.entries("jobs") if key in name]:
            if time.monotonic() > deadline:
                self.outcome.problems.append(f"objects left: {left[:3]}")
                return
            await asyncio.sleep(0.5)

    @property
    def starts(self) -> dict[int, int]:
        """Chunks by their first frame."""
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
        """Which chunks' commands run now, or were ended from outside."""
        starts = self.starts
        ended = {note.name.removesuffix(".ended") for note in self.notes.glob("*.ended")}
        return Counter(
            starts[int(note.name.split(".")[0])]
            for note in self.notes.glob("*.begun")
            if note.name.removesuffix(".begun") not in ended
        )

    def _begun_since(self, before: Counter[int]) -> set[int]:
        return set(self.executed() - before)

    def _records(self) -> list[Path]:
        name = f"seed-{self.scenario.seed}-*" if self.scenario.has_id else f"run-{self.run.id if self.run else ''}-*"
        return [path for folder in self.farm.result_storage.glob(name) for path in folder.glob("chunk-*")]

    def recorded(self) -> set[int]:
        """Chunks of which Prefect has a whole result, and whose output is as that says."""
        found = set()
        for path in self._records():
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
