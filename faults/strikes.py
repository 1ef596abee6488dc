"""Strike a running job with each fault, and tell whether the fault happened."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psutil
from prefect.states import Cancelling

from faults.farm import signal_all
from faults.farm_strikes import FARM_STRIKES
from faults.full_disk import fill
from faults.promises import watch_cancel
from faults.scenario import JOINS, Fault, Strike
from faults.stage import Stage

BETWEEN_RUNS = (Fault.OUTPUT, Fault.RECORD)
"""Faults of files: they strike between two launches, after the flow was killed."""
AT_THEIR_MOMENT = (Fault.KILL_STITCH, Fault.TWICE, *JOINS)
"""Faults that wait for their target, a stitch or a certain chunk, or take long to prepare."""
POLL_SECONDS = 0.002


async def strike(stage: Stage, planned: Strike) -> None:
    """Wait for the fault's moment, strike, and count the fault if it happened."""
    trial = stage.trial
    scenario = trial.scenario
    begun_before = sum(1 for _ in trial.notes.glob("*.begun"))
    to_do = max(len(scenario.lengths) - len(trial.recorded()), 1)
    wanted = 0 if planned.fault in AT_THEIR_MOMENT else planned.after * to_do
    while sum(1 for _ in trial.notes.glob("*.begun")) - begun_before < wanted and not stage.ended.is_set():
        await asyncio.sleep(0.01)
    if planned.fault not in AT_THEIR_MOMENT:
        await asyncio.sleep(planned.delay_seconds)
    happened = False
    with suppress(psutil.NoSuchProcess):  # the process ended just then; the next launch tries again
        happened = not stage.ended.is_set() and await _STRIKES[planned.fault](stage, planned)
    if happened and planned.fault not in BETWEEN_RUNS:
        trial.outcome.fired[planned.fault] += 1


async def _kill_flow(stage: Stage, _planned: Strike) -> bool:
    is_done = (stage.trial.directory / "video.mp4").exists()
    stage.kill()
    return not is_done


async def _kill_stitch(stage: Stage, _planned: Strike) -> bool:
    """Kill the flow as soon as the stitch's own file exists."""
    while not stage.ended.is_set():
        with os.scandir(stage.trial.directory) as entries:
            if any("-stitch" in entry.name for entry in entries):
                stage.kill()
                return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _kill_guardian(stage: Stage, _planned: Strike) -> bool:
    guardian = stage.guardian
    if guardian is None:
        return False
    _allow_running(stage)
    stage.trial.slack += stage.trial.scenario.concurrency  # commands about to begin, or whose end was not reported
    return signal_all([guardian], signal.SIGKILL) == 1


async def _kill_both(stage: Stage, _planned: Strike) -> bool:
    guardian = stage.guardian
    if guardian is None:
        return False
    stage.kill()
    return signal_all([guardian], signal.SIGKILL) == 1


async def _some_programs(stage: Stage) -> list[psutil.Process]:
    """Wait for processes of chunks; none if the launch ends before."""
    while not stage.ended.is_set():
        if found := _living(stage.programs):
            return found
        await asyncio.sleep(POLL_SECONDS)
    return []


async def _kill_chunk(stage: Stage, planned: Strike) -> bool:
    found = await _some_programs(stage)
    if not found:
        return False
    one = found[planned.chunk % len(found)]
    with suppress(psutil.Error):
        stage.trial.due[stage.trial.starts[int(one.cmdline()[3])]] += 1
    return signal_all([one], signal.SIGKILL) == 1


async def _stop(process: psutil.Process | None, planned: Strike) -> bool:
    if process is None or not signal_all([process], signal.SIGSTOP):
        return False
    await asyncio.sleep(0.3 + planned.how)
    return signal_all([process], signal.SIGCONT) == 1


async def _stop_flow(stage: Stage, planned: Strike) -> bool:
    return await _stop(stage.flow, planned)


async def _stop_guardian(stage: Stage, planned: Strike) -> bool:
    return await _stop(stage.guardian, planned)


async def _stop_chunk(stage: Stage, planned: Strike) -> bool:
    found = await _some_programs(stage)
    return await _stop(found[planned.chunk % len(found)] if found else None, planned)


async def _twice(stage: Stage, planned: Strike) -> bool:
    """Kill the flow while a chunk that ignores SIGTERM runs; the next launch follows at once."""
    start = next(frame for frame, index in stage.trial.starts.items() if index == planned.chunk)
    notes = stage.trial.notes
    before = set(notes.glob(f"{start}.*.begun"))
    while not stage.ended.is_set():
        if set(notes.glob(f"{start}.*.begun")) - before:
            stage.kill()
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


def _living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and _has_command(process)]


def _has_command(process: psutil.Process) -> bool:
    try:
        return bool(process.cmdline())
    except psutil.Error:
        return False


async def _event_twice(stage: Stage, _planned: Strike) -> bool:
    return await _lambda_fault(stage, "deliver-twice", 1)


async def _answer_lost(stage: Stage, _planned: Strike) -> bool:
    return await _lambda_fault(stage, "lose-answer", 0)


async def _lambda_fault(stage: Stage, kind: str, executions: int) -> bool:
    """Cause a fault of Lambda's next invocation, and allow every chunk this many further executions."""
    assert stage.trial.farm.amazon is not None
    functions = stage.trial.farm.amazon.functions
    before = functions.fired(kind)
    functions.want(kind)
    while not stage.ended.is_set() and functions.fired(kind) == before:
        await asyncio.sleep(0.02)
    if functions.fired(kind) == before:
        functions.want(kind, 0)
        return False
    for chunk in stage.trial.due if executions else ():
        stage.trial.due[chunk] += executions
    return True


async def _kill_instance(stage: Stage, planned: Strike) -> bool:
    """Kill the function's own process, above the guardian of the chunk's command."""
    while found := await _some_programs(stage):
        with suppress(psutil.Error, ValueError, IndexError):
            program = found[planned.chunk % len(found)]
            chunk = stage.trial.starts[int(program.cmdline()[3])]
            above = [one for one in program.parents() if "guardian_process" in " ".join(one.cmdline())]
            function = above[-1].parent()  # above its warden is the guardian
            if function is not None and signal_all([function], signal.SIGKILL):
                stage.trial.due[chunk] += 1
                return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _disk_full(stage: Stage, planned: Strike) -> bool:
    """Fill the job's disk."""
    return await fill(stage, stage.trial.directory, seconds=0.5 + planned.how)


async def _server(stage: Stage, _planned: Strike) -> bool:
    server = stage.trial.farm.server
    async with server.lock:
        await asyncio.to_thread(server.signal, signal.SIGKILL)
        await asyncio.sleep(1)
        await asyncio.to_thread(server.start)
    return True


async def _server_stop(stage: Stage, planned: Strike) -> bool:
    server = stage.trial.farm.server
    async with server.lock:
        server.signal(signal.SIGSTOP)
        await asyncio.sleep(1 + planned.how)
        server.signal(signal.SIGCONT)
    return True


async def _clock(stage: Stage, _planned: Strike) -> bool:
    (stage.trial.folder / "jump").touch()
    await asyncio.sleep(0.5)
    (stage.trial.folder / "jump").unlink(missing_ok=True)
    return True


async def _cancel(stage: Stage, _planned: Strike) -> bool:
    assert stage.trial.run is not None
    await stage.trial.farm.client.set_flow_run_state(stage.trial.run.id, Cancelling())
    await _cancelled(stage)
    return True


async def _sigterm(stage: Stage, _planned: Strike) -> bool:
    if stage.flow is None or not signal_all([stage.flow], signal.SIGTERM):
        return False
    await _cancelled(stage)
    return True


async def _cancelled(stage: Stage) -> None:
    if stage.trial.scenario.on_farm:
        await watch_cancel(stage)


def _allow_running(stage: Stage) -> None:
    """Allow one more execution of every chunk whose command runs now."""
    for chunk in stage.trial.begun_not_ended():
        stage.trial.due[chunk] += 1


_STRIKES: dict[Fault, Callable[[Stage, Strike], Awaitable[Any]]] = {
    Fault.KILL_FLOW: _kill_flow,
    Fault.KILL_WORKER: _kill_flow,
    Fault.KILL_STITCH: _kill_stitch,
    Fault.KILL_GUARDIAN: _kill_guardian,
    Fault.KILL_BOTH: _kill_both,
    Fault.KILL_CHUNK: _kill_chunk,
    Fault.STOP_FLOW: _stop_flow,
    Fault.STOP_GUARDIAN: _stop_guardian,
    Fault.STOP_CHUNK: _stop_chunk,
    Fault.TWICE: _twice,
    Fault.EVENT_TWICE: _event_twice,
    Fault.ANSWER_LOST: _answer_lost,
    Fault.KILL_INSTANCE: _kill_instance,
    Fault.DISK_FULL: _disk_full,
    Fault.OUTPUT: _kill_flow,
    Fault.RECORD: _kill_flow,
    Fault.SERVER: _server,
    Fault.SERVER_STOP: _server_stop,
    Fault.CLOCK: _clock,
    Fault.CANCEL: _cancel,
    Fault.SIGTERM: _sigterm,
    **FARM_STRIKES,
}
