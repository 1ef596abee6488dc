"""What queues say of jobs, as their commands print it."""

import pytest

from adapters.farm_cluster.states import QUEUES, JobState, Phase, job_states, outlook

ANSWERS = {
    "slurm": (
        "5|PENDING|Resources\n6|PENDING|None\n3|RUNNING|None\n4|COMPLETING|None\n7|FAILED|NonZeroExitCode\n"
        "8|CANCELLED|None\n",
        {
            "5": JobState(Phase.WAITING, "Resources"), "6": JobState(Phase.WAITING, "None"),
            "3": JobState(Phase.RUNNING, "None"), "4": JobState(Phase.RUNNING, "None"),
            "7": JobState(Phase.ENDED, "FAILED, NonZeroExitCode"), "8": JobState(Phase.ENDED, "CANCELLED"),
        },
    ),
    "pbs": (
        "Job Id: 12.server\n    Job_Name = helios\n    job_state = Q\n    queue = workq\n"
        "    comment = Not Running: Insufficient amount of resource: \n\tncpus (R: 4 A: 2 T: 2)\n    ctime = now\n\n"
        "Job Id: 13.server\n    job_state = R\n\nJob Id: 14.server\n    job_state = F\n",
        {
            "12": JobState(Phase.WAITING, "Not Running: Insufficient amount of resource: ncpus (R: 4 A: 2 T: 2)"),
            "13": JobState(Phase.RUNNING), "14": JobState(Phase.ENDED),
        },
    ),
    "sge": (
        "job-ID  prior   name       user         state submit/start at     queue             slots ja-task-ID\n"
        "-----------------------------------------------------------------------------------------------------\n"
        "      3 0.55500 helios-sge ada          r     11/27/2026 08:15:21 all.q@n1              2\n"
        "      4 0.55500 helios-sge ada          qw    11/27/2026 08:15:22                       2\n"
        "      5 0.55500 helios-sge ada          Eqw   11/27/2026 08:15:23                       2\n",
        {
            "3": JobState(Phase.RUNNING), "4": JobState(Phase.WAITING),
            "5": JobState(Phase.WAITING, "its machine refused it (state E): qstat -j says why"),
        },
    ),
    "lsf": (
        "101 PEND\n102 RUN\n103 EXIT\n",
        {
            "101": JobState(Phase.WAITING, "PEND"), "102": JobState(Phase.RUNNING),
            "103": JobState(Phase.ENDED, "EXIT"),
        },
    ),
    "htcondor": (
        "12.0 1\n13.0 2\n14.0 5\n",
        {
            "12.0": JobState(Phase.WAITING, "idle"), "13.0": JobState(Phase.RUNNING),
            "14.0": JobState(Phase.WAITING, "held"),
        },
    ),
    "oar": (
        "21: Waiting\n22: Running\n23: Error\n",
        {
            "21": JobState(Phase.WAITING, "Waiting"), "22": JobState(Phase.RUNNING),
            "23": JobState(Phase.ENDED, "Error"),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers(kind: str) -> None:
    """Each queue's answer says where its jobs are, and why."""
    answer, states = ANSWERS[kind]
    assert QUEUES[kind][1](answer) == states
    assert QUEUES[kind][1]("") == {}


async def test_a_queue_without_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of jobs where the queue can't be asked."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert await job_states("slurm", "helios", ["1"]) is None


def test_what_waits_in_words() -> None:
    """One line says how many nodes wait, for what, and how many start."""
    waits = [JobState(Phase.WAITING, reason) for reason in ("Priority", "Resources", "None", "Priority")]
    assert outlook("Slurm", waits) == "4 nodes wait in Slurm's queue: Priority, Resources"
    starts = [JobState(Phase.WAITING), JobState(Phase.RUNNING)]
    assert outlook("PBS", starts) == "1 node waits in PBS's queue; 1 node starts"
