"""Launch a job of the bench, strike it, and launch it again until it is done."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import psutil
from prefect.client.schemas.objects import StateType
from prefect.states import Pending

from farm.dead_runs import mark_dead_runs
from faults.disks import mount
from faults.farm import is_alive, processes_of
from faults.film import refusals
from faults.scenario import IN_THE_COMMAND, Fault
from faults.stage import Stage
from faults.strikes import BETWEEN_RUNS, strike
from faults.trial import Trial
from flows.render import render_job
from helios.models.report import RunState
from tasks.prefect_api.states import job_state, to_be_resumed
from tasks.run.liveness import START_PATIENCE

MAX_LAUNCHES = 12
GONE_SECONDS = 5.0
GONE_ON_NODES_SECONDS = 10.0
GONE_ON_LAMBDA_SECONDS = 30.0
LAUNCH_SECONDS = 150.0
COUNT_SECONDS = 0.3
"""Commands ordered before a death have begun after this time, and count as in flight; deaf commands go on."""


async def prepare(trial: Trial) -> None:
    scenario = trial.scenario
    for folder in (trial.directory, trial.notes):
        folder.mkdir(parents=True)
    for planned in scenario.strikes:
        if planned.fault is Fault.DISK_FULL:
            mount(trial.directory)
        if planned.fault in IN_THE_COMMAND:
            trial.due[planned.chunk] += refusals(planned.fault, planned.how)
    document = trial.directory / "job.json"
    document.write_text(json.dumps(await asyncio.to_thread(trial.farm.film.job, scenario, trial.notes)))
    trial.parameters = {
        "job": str(document),
        "adapter": trial.adapter(),
        "concurrency": scenario.concurrency,
        "retries": 3,
        "retry_delay_seconds": 0.05,
        "environment_retries": 20,
        "hedge": 0.05,
    }
    client = trial.farm.client
    trial.by_worker = any(planned.fault is Fault.KILL_WORKER for planned in scenario.strikes)
    if trial.by_worker:
        deployment = await trial.farm.deployment()
        trial.run = await client.create_flow_run_from_deployment(deployment, parameters=trial.parameters)
    else:
        trial.run = await client.create_flow_run(render_job, parameters=trial.parameters, state=Pending())


async def launch_until_done(trial: Trial) -> None:
    planned = [one for one in trial.scenario.strikes if one.fault not in IN_THE_COMMAND]
    missed = 0
    while trial.outcome.launches < MAX_LAUNCHES:
        now = planned[0] if planned else None
        state = await _launch(trial, now)
        if now is not None:
            if trial.outcome.fired[now.fault] or missed >= 3:
                planned.pop(0)
                missed = 0
            else:
                missed += 1
        if state is RunState.COMPLETED:
            if not planned:
                return
            await _undo_some(trial)
    trial.outcome.problems.append(f"not completed after {MAX_LAUNCHES} launches")


async def _launch(trial: Trial, planned: Any) -> RunState:
    """Start the flow's process, strike it, and wait for its end."""
    outcome, client = trial.outcome, trial.farm.client
    assert trial.run is not None
    outcome.launches += 1
    before = trial.executed()
    if outcome.launches > 1:
        await client.set_flow_run_state(trial.run.id, to_be_resumed(), force=True)
    (trial.folder / "jump").unlink(missing_ok=True)
    stage = Stage(trial, by_command=outcome.launches > 1 and trial.scenario.resumed_by_command and not trial.by_worker)
    await stage.start()
    striking = asyncio.create_task(strike(stage, planned)) if planned else None
    limit = LAUNCH_SECONDS * trial.patience
    try:
        await asyncio.wait_for(_end_of(trial, stage), limit)
    except TimeoutError:
        outcome.problems.append(f"launch {outcome.launches} did not end within {limit:g} s")
    finally:
        # Until the strike has continued a stopped process, or emptied a full disk: it must not meet the next job.
        if not stage.ended.is_set():
            stage.kill()
            await stage.ended.wait()
        if striking is not None:
            await striking
    if planned and planned.fault is Fault.TWICE and stage.was_killed:
        await asyncio.sleep(COUNT_SECONDS * trial.patience)
    else:
        await _await_gone(trial, stage)
    for chunk in trial.begun_since(before) - trial.recorded():
        trial.due[chunk] += 1
    if is_remote(trial) and stage.was_killed:
        trial.slack += trial.scenario.concurrency  # invocations whose command had not begun
    if planned and planned.fault in BETWEEN_RUNS:
        _damage(trial, planned)
    await _await_end_of_flow(trial, stage)
    # A query marks dead runs; twice, since the first may meet a request that the process sent as it died.
    for _ in range(2):
        await mark_dead_runs(client)
    state = job_state((await client.read_flow_run(trial.run.id)).state)
    if state in (RunState.RUNNING, RunState.STITCHING, RunState.PAUSED):
        outcome.problems.append(f"after its process ended, the run is {state}")
    return state


async def _end_of(trial: Trial, stage: Stage) -> None:
    """Wait for the launch's end, or until it is clear that its Prefect worker took the run and could not start it.

    On a busy machine Prefect's server answers 503, and its worker then gives up the run without a message. The next
    launch resumes the job.
    """
    while not stage.ended.is_set():
        await asyncio.sleep(0.1)
        if not trial.by_worker or stage.flow is not None or trial.run is None:
            continue
        state = (await trial.farm.client.read_flow_run(trial.run.id)).state
        if state is None or state.type is not StateType.PENDING:
            continue
        if datetime.now(UTC) - state.timestamp > START_PATIENCE:
            return


async def _await_gone(trial: Trial, stage: Stage) -> None:
    """Wait until no process of the job is left; processes beyond the time limit count as orphans."""
    started = time.monotonic()
    limit = GONE_SECONDS * trial.patience
    if is_remote(trial):
        limit = (GONE_ON_NODES_SECONDS if trial.scenario.on_farm else GONE_ON_LAMBDA_SECONDS) * trial.patience
    while left := _left(trial, stage):
        if time.monotonic() - started > limit:
            trial.outcome.orphans += len(left)
            trial.outcome.problems += [f"still there: {_describe(process)}" for process in left]
            return
        await asyncio.sleep(0.05)
    if stage.was_killed and not trial.scenario.on_lambda:
        trial.outcome.gone_seconds = max(trial.outcome.gone_seconds, time.monotonic() - stage.ended_at)


def is_remote(trial: Trial) -> bool:
    """Whether the job's commands run elsewhere."""
    return trial.scenario.on_lambda or trial.scenario.on_farm


def _left(trial: Trial, stage: Stage) -> list[psutil.Process]:
    """Processes of the job, and its guardian, which may be about to start a process."""
    guardian = [stage.last_guardian] if stage.last_guardian and is_alive(stage.last_guardian) else []
    return processes_of(trial.mark) + guardian


def _describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} of {process.ppid()}, {process.status()}: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"{process.pid}, gone meanwhile"


async def _await_end_of_flow(trial: Trial, stage: Stage) -> None:
    """Wait until the flow's process of a killed Prefect worker has ended by itself."""
    deadline = time.monotonic() + 20 * trial.patience
    while stage.flow is not None and is_alive(stage.flow):
        if time.monotonic() > deadline:
            trial.outcome.problems.append("the flow's process outlived its worker by 20 s")
            return
        await asyncio.sleep(0.02)


def _damage(trial: Trial, planned: Any) -> None:
    """Delete, cut or replace one file, between two launches."""
    chunk = trial.dice.randrange(len(trial.scenario.lengths))
    if planned.fault is Fault.OUTPUT:
        files = list(trial.directory.glob(f"chunk-{chunk}.mp4"))
    else:
        files = [path for path in trial.records() if path.name.startswith(f"chunk-{chunk}-")]
    if not files or chunk not in trial.recorded():
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
            path.write_bytes(trial.dice.choice(others).read_bytes())
    trial.due[chunk] += 1
    trial.outcome.fired[planned.fault] += 1


async def _undo_some(trial: Trial) -> None:
    """Delete the video and some outputs of a job that is done before all of its faults have happened."""
    (trial.directory / "video.mp4").unlink(missing_ok=True)
    for chunk in trial.dice.sample(range(len(trial.scenario.lengths)), k=max(len(trial.scenario.lengths) // 2, 1)):
        (trial.directory / f"chunk-{chunk}.mp4").unlink(missing_ok=True)
        trial.due[chunk] += 1
