"""Check everything that a job of the fault bench has left: video, executions, files, states, report."""

import asyncio
import time
from collections import Counter

from prefect.client.schemas.filters import TaskRunFilter

from adapters import create_adapter
from farm.runs import find_run
from faults.film import refusals
from faults.lanes import LOST, errors_on_nodes, left_on_nodes, mend
from faults.launches import is_remote
from faults.scenario import IN_THE_COMMAND
from faults.trial import Trial
from helios.models.report import JobReport, RunState
from tasks.prefect_api.api import of_run
from testbed.cloud.own_farm import OwnFarm
from testbed.video import read_numbers


async def check(trial: Trial) -> None:
    """Check the video, the executions, the files, the states and the report."""
    outcome, scenario = trial.outcome, trial.scenario
    wanted = list(range(scenario.start, scenario.start + sum(scenario.lengths)))
    found = await asyncio.to_thread(read_numbers, trial.directory / "video.mp4")
    if found != wanted:
        outcome.wrong_frames = max(sum(a != b for a, b in zip(found, wanted, strict=False)),
                                   abs(len(found) - len(wanted)), 1)  # fmt: skip
    executed = trial.executed()
    outcome.executions = executed.total()
    for planned in scenario.strikes:
        if planned.fault in IN_THE_COMMAND and executed[planned.chunk] > refusals(planned.fault, planned.how):
            outcome.fired[planned.fault] += 1
    for chunk, hedges in (await _hedges(trial)).items():
        trial.due[chunk] += hedges
    excess = {chunk: executed[chunk] - due for chunk, due in trial.due.items() if executed[chunk] > due}
    outcome.avoidable = max(sum(excess.values()) - trial.slack, 0)
    if outcome.avoidable:
        outcome.problems += [
            f"chunk {chunk} was executed {executed[chunk]} times; {trial.due[chunk]} had a reason" for chunk in excess
        ]
    report = await _report(trial)
    names = {f"chunk-{chunk.id}.mp4" for chunk in report.chunks} | {"job.json", "video.mp4", ".helios"}
    if left := sorted({path.name for path in trial.directory.iterdir()} - names):
        outcome.problems.append(f"files left: {left}")
    if is_remote(trial):
        await _check_storage(trial)
    if trial.own_farm is not None:
        await _check_farm(trial, trial.own_farm)
    await _check_states(trial, report)


async def _check_farm(trial: Trial, farm: OwnFarm) -> None:
    await mend(farm)
    trial.outcome.problems += errors_on_nodes(farm)
    log = trial.folder / "log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    trial.outcome.problems += [f"in the flow's log: {line}" for line in lines if LOST in line]
    if left := left_on_nodes(farm):
        trial.outcome.problems.append(f"left on nodes: {left}")


async def _report(trial: Trial) -> JobReport:
    assert trial.run is not None
    state = (await trial.farm.client.read_flow_run(trial.run.id)).state
    assert state is not None
    return JobReport.model_validate(await state.aresult())


async def _check_states(trial: Trial, report: JobReport) -> None:
    outcome = trial.outcome
    assert trial.run is not None
    counts = (report.state, report.frames, sum(chunk.state is RunState.COMPLETED for chunk in report.chunks))
    chunks = len(report.chunks) if trial.scenario.grows else len(trial.scenario.lengths)
    if counts != (RunState.COMPLETED, sum(trial.scenario.lengths), chunks):
        outcome.problems.append(f"the report says {counts}")
    mine = of_run(trial.run.id)
    deadline = time.monotonic() + 60
    while True:
        status = await find_run(trial.farm.client, str(trial.run.id))
        unfinished = await trial.farm.client.read_task_runs(
            flow_run_filter=mine,
            task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}),
        )
        done = await trial.farm.client.read_task_runs(
            flow_run_filter=mine,
            task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": ["COMPLETED"]}}}),
        )
        missing = {f"chunk-{chunk.id}" for chunk in report.chunks} - {task_run.name for task_run in done}
        if status.state is RunState.COMPLETED and not unfinished and not missing and status.holder is None:
            return
        if time.monotonic() > deadline:
            outcome.problems.append(
                f"in the API: {status.state}, held by {status.holder}, {len(unfinished)} task runs unfinished "
                f"({[(task_run.name, str(task_run.id)) for task_run in unfinished[:3]]}), without an end: {missing}"
            )
            return
        await asyncio.sleep(0.6)


async def _hedges(trial: Trial) -> Counter[int]:
    """How many second attempts each chunk got, as Prefect has them."""
    assert trial.run is not None
    named = TaskRunFilter.model_validate({"name": {"like_": "hedge-"}})
    runs = await trial.farm.client.read_task_runs(flow_run_filter=of_run(trial.run.id), task_run_filter=named)
    return Counter(int(run.name.removeprefix("hedge-")) for run in runs)


async def _check_storage(trial: Trial) -> None:
    storage = create_adapter(trial.adapter())[1].storage  # type: ignore[attr-defined]
    key = f"seed-{trial.scenario.seed}-" if trial.scenario.has_id else str(trial.run.id if trial.run else "")
    deadline = time.monotonic() + 15
    while left := [entry.key async for entry in storage.entries("jobs") if key in entry.key]:
        if time.monotonic() > deadline:
            trial.outcome.problems.append(f"objects left: {left[:3]}")
            return
        await asyncio.sleep(0.5)
