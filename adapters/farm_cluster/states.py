"""What a queue says of jobs: the command that is asked, and how its answer is read.

Slurm's was read from a real one; those of the other queues follow their manuals.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

ANSWER_SECONDS = 60.0
"""How long a queue may take to answer."""

HOPELESS = frozenset({
    "PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "InvalidAccount", "InvalidQOS", "AccountNotAllowed",
    "QOSNotAllowed",
})  # fmt: skip
"""Reasons for which Slurm lets a job wait although it will never run as it is."""
_AWAY = re.compile(rb"connect|communicat|unreachable|timed? ?out|not responding|LSF is down", re.IGNORECASE)
"""In a complaint, says that it is the queue's server that does not answer."""


class Phase(Enum):
    """Where a job is."""

    WAITING = "waiting"
    """In the queue."""
    RUNNING = "running"
    """On a machine, also while it starts or ends."""
    ENDED = "ended"
    """Over, or never heard of."""


@dataclass(frozen=True)
class JobState:
    """What a queue says of a job."""

    phase: Phase
    """Where it is."""
    reason: str = ""
    """Why it waits or has ended, in the queue's words."""
    is_hopeless: bool = False
    """It waits, and will never run as it is."""


async def job_states(kind: str, name: str, ids: Sequence[str]) -> dict[str, JobState] | None:
    """Ask a queue about jobs.

    Args:
        kind: The queue, as the setting's type.
        name: What all of these jobs are called.
        ids: The jobs.

    Returns:
        Their states by id; a job that the queue does not know is left out. None if the queue does not answer.
    """
    question, read = QUEUES[kind]
    command = question(name, ids)
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError:
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer, complaint = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    # Most of these commands exit with an error where one of the jobs is over; what they leave out then says it.
    if process.returncode and (kind == "slurm" or _AWAY.search(complaint)):
        return None
    return read(answer.decode(errors="replace"))


def outlook(title: str, states: Sequence[JobState]) -> str:
    """What nodes that have not come wait for, for people.

    Args:
        title: The queue.
        states: Of their jobs.
    """
    queued = [state.reason for state in states if state.phase is Phase.WAITING]
    reasons = ", ".join(sorted({reason for reason in queued if reason not in {"", "None"}}))
    words = []
    if queued:
        words.append(
            f"{nodes_in_words(len(queued), 'waits', 'wait')} in {title}'s queue" + (reasons and f": {reasons}")
        )
    if starting := len(states) - len(queued):
        words.append(nodes_in_words(starting, "starts", "start"))
    return "; ".join(words)


def nodes_in_words(count: int, one: str = "", more: str = "") -> str:
    """A count of nodes, and what they do."""
    return f"{count} node{'s' * (count != 1)} {one if count == 1 else more}".rstrip()


def read_slurm(answer: str) -> dict[str, JobState]:
    """Read `squeue --format=%i|%T|%r`."""
    found = {}
    for line in answer.splitlines():
        job, state, reason = [*line.split("|", 2), "", ""][:3]
        if state in {"PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}:
            phase = Phase.WAITING
        elif state in {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}:
            phase = Phase.RUNNING
        else:
            phase, reason = Phase.ENDED, state if reason in {"", "None"} else f"{state}, {reason}"
        hopeless = phase is Phase.WAITING and reason.strip() in HOPELESS
        found[job.strip()] = JobState(phase, reason.strip(), is_hopeless=hopeless)
    return found


def read_pbs(answer: str) -> dict[str, JobState]:
    """Read `qstat -f`: PBS Pro and Torque."""
    found = {}
    for part in re.split(r"^Job Id: ", answer, flags=re.MULTILINE)[1:]:
        state = re.search(r"^\s*job_state = (\w)", part, re.MULTILINE)
        comment = re.search(r"^\s*comment = (.+(?:\n\t.+)*)", part, re.MULTILINE)
        phases = {"Q": Phase.WAITING, "H": Phase.WAITING, "W": Phase.WAITING, "T": Phase.WAITING,
                  "F": Phase.ENDED, "C": Phase.ENDED, "X": Phase.ENDED}  # fmt: skip
        phase = phases.get(state[1] if state else "", Phase.RUNNING)
        found[part.split("\n")[0].split(".")[0].strip()] = JobState(
            phase, comment[1].replace("\n\t", "").strip() if comment and phase is Phase.WAITING else ""
        )
    return found


def read_columns(phases: Mapping[str, Phase], *, otherwise: Phase) -> Callable[[str], dict[str, JobState]]:
    """A reader of lines of a job's number and its state.

    Args:
        phases: What the states mean.
        otherwise: What every other state means.
    """

    def read(answer: str) -> dict[str, JobState]:
        found = {}
        for line in answer.splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and re.fullmatch(r"\d+(\.\d+)?", words[0]):
                phase = phases.get(words[1], otherwise)
                found[words[0]] = JobState(phase, words[1] if phase is not Phase.RUNNING else "")
        return found

    return read


def read_htcondor(answer: str) -> dict[str, JobState]:
    """Read lines of `CLUSTER.PROCESS JobStatus`."""
    codes = {
        "1": JobState(Phase.WAITING, "idle"), "5": JobState(Phase.WAITING, "held"),
        "3": JobState(Phase.ENDED, "removed"), "4": JobState(Phase.ENDED, "completed"),
    }  # fmt: skip
    lines = [line.split() for line in answer.splitlines()]
    return {words[0]: codes.get(words[1], JobState(Phase.RUNNING)) for words in lines if len(words) == 2}


def read_sge(answer: str) -> dict[str, JobState]:
    """Read Grid Engine's `qstat`: a table whose fifth column is the state; jobs that are over are not in it."""
    found = {}
    for line in answer.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].isdigit():
            waits = "q" in words[4]
            broken = "its machine refused it (state E): qstat -j says why" if "E" in words[4] else ""
            found[words[0]] = JobState(Phase.WAITING if waits else Phase.RUNNING, broken)
    return found


Question = Callable[[str, Sequence[str]], list[str]]
QUEUES: dict[str, tuple[Question, Callable[[str], dict[str, JobState]]]] = {
    "slurm": (
        lambda name, _: ["squeue", "--noheader", "--states=all", f"--name={name}", "--format=%i|%T|%r"],
        read_slurm,
    ),
    "pbs": (lambda _, ids: ["qstat", "-f", *ids], read_pbs),
    "sge": (lambda *_: ["qstat"], read_sge),
    "lsf": (
        lambda _, ids: ["bjobs", "-noheader", "-o", "jobid stat", *ids],
        read_columns(
            {"PEND": Phase.WAITING, "PSUSP": Phase.WAITING, "WAIT": Phase.WAITING,
             "DONE": Phase.ENDED, "EXIT": Phase.ENDED, "ZOMBI": Phase.ENDED},
            otherwise=Phase.RUNNING,
        ),
    ),
    "htcondor": (
        lambda _, ids: ["condor_q", *ids, "-format", "%d.", "ClusterId", "-format", "%d ", "ProcId",
                        "-format", "%d\n", "JobStatus"],
        read_htcondor,
    ),
    "oar": (
        lambda _, ids: ["oarstat", "-s", *(word for one in ids for word in ("-j", one))],
        read_columns(
            {"Waiting": Phase.WAITING, "Hold": Phase.WAITING, "toLaunch": Phase.WAITING,
             "toAckReservation": Phase.WAITING, "Terminated": Phase.ENDED, "Error": Phase.ENDED},
            otherwise=Phase.RUNNING,
        ),
    ),
}  # fmt: skip
"""What each queue is asked, and how its answer is read."""
