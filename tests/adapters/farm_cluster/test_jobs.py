"""Jobs for nodes, as each queue gets them. The queues' commands are stand-ins; tests/own_farm has a real Slurm."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from adapters.farm_cluster.config import ClusterConfig, Queue, QueueSettings
from adapters.farm_cluster.jobs import JobQueue
from helios.errors import RequestError

KINDS: dict[str, tuple[dict[str, Any], list[str], str, str, str]] = {
    "slurm": (
        {"partition": "render", "account": "film", "gres": "gpu:1", "memory": "16GB", "walltime": "02:00:00",
         "directives": ["--constraint=avx512"]},
        ["#SBATCH -p render", "#SBATCH -A film", "#SBATCH --gres=gpu:1", "#SBATCH --mem=15G", "#SBATCH -t 02:00:00",
         "#SBATCH --constraint=avx512", "#SBATCH --cpus-per-task=2", "#SBATCH -n 1"],
        "sbatch", "scancel", "Submitted batch job 7",
    ),
    "pbs": (
        {"queue": "workq", "account": "film", "memory": "4GB", "walltime": "01:00:00"},
        ["#PBS -q workq", "#PBS -A film", "#PBS -l select=1:ncpus=2:mem=3815MB", "#PBS -l walltime=01:00:00"],
        "qsub", "qdel", "7.server",
    ),
    "sge": (
        {"queue": "all.q", "project": "film", "resources": "h_vmem=4G", "directives": ["-pe smp 2"]},
        ["#$ -q all.q", "#$ -P film", "#$ -l h_vmem=4G", "#$ -pe smp 2"],
        "qsub", "qdel", 'Your job 7 ("helios-test") has been submitted',
    ),
    "lsf": (
        {"queue": "normal", "project": "film", "memory": "4GB", "walltime": "01:00"},
        ["#BSUB -q normal", '#BSUB -P "film"', "#BSUB -n 2", '#BSUB -R "span[hosts=1]"', "#BSUB -W 01:00"],
        "bsub", "bkill", "Job <7> is submitted to queue <normal>.",
    ),
    "htcondor": (
        {"memory": "4GB", "disk": "10GB", "directives": ["Requirements = (HasBlender == True)"]},
        ["MY.DaskWorkerCores = 2", "MY.DaskWorkerMemory = 4000000000", "MY.DaskWorkerDisk = 10000000000",
         "Requirements = (HasBlender == True)"],
        "condor_submit", "condor_rm", "1 job(s) submitted to cluster 7.",
    ),
    "oar": (
        {"queue": "default", "project": "film", "walltime": "01:00:00"},
        ["#OAR -q default", "#OAR --project film", "#OAR -l /nodes=1/core=2,walltime=01:00:00"],
        "oarsub", "oardel", "OAR_JOB_ID=7",
    ),
}  # fmt: skip
"""Settings; what the script must have; the commands, and what the first one prints."""


def config(kind: str, **settings: Any) -> Queue:
    found = TypeAdapter(ClusterConfig).validate_python({"type": kind, "most": 3, **settings})
    assert isinstance(found, QueueSettings)
    return found


class StandIn:
    """Commands on PATH that note what they are given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, *, prints: str = "", complains: str = "", code: int = 0) -> None:
        """A command that prints, complains and exits with a code."""
        script = f"""#!/bin/sh
env > {self.folder}/{name}.env
for word in "$@"; do
  echo "$word" >> {self.folder}/{name}.words
  [ -f "$word" ] && cat "$word" > {self.folder}/script
done
[ {name} = bsub ] && cat > {self.folder}/script
[ -n {shlex.quote(prints)} ] && echo {shlex.quote(prints)}
[ -n {shlex.quote(complains)} ] && echo {shlex.quote(complains)} >&2
exit {code}
"""
        (self.folder / name).write_text(script)
        (self.folder / name).chmod(0o755)

    def words(self, name: str) -> list[str]:
        """What a command was given."""
        return (self.folder / f"{name}.words").read_text().splitlines()

    @property
    def script(self) -> str:
        """What was submitted."""
        return (self.folder / "script").read_text()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Commands in front of all others, and a dask-jobqueue that leaves this user's settings alone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "for nobody")
    return StandIn(folder)


def queue(kind: str, folder: Path, **settings: Any) -> JobQueue:
    return JobQueue(config(kind, **settings), name="helios-test", folder=folder / "shared", tags=["blender-4.2"])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_is_asked_for(kind: str, stand_in: StandIn, tmp_path: Path) -> None:
    """The script has what was set and runs our node; neither it nor what the queue inherits has a secret."""
    settings, lines, submit, cancel, prints = KINDS[kind]
    stand_in.add(submit, prints=prints)
    stand_in.add(cancel)
    jobs = queue(kind, tmp_path, slots=2, prologue=["module load blender"], idle_seconds=30, **settings)
    job_id = await jobs.submit("test-1")
    assert job_id.partition(".")[0] == "7"
    script = stand_in.script if kind != "oar" else "\n".join(stand_in.words(submit))
    expected = lines if kind != "oar" else [line.removeprefix("#OAR ") for line in lines]
    if kind == "oar":
        script = script.replace("\n", " ")
        expected = [line.replace("\n", " ") for line in expected]
    for line in expected:
        assert line in script
    node = f"exec {sys.executable} -m helios.own_farm.queued_node {tmp_path}/shared/token --name test-1"
    assert node in script
    assert "--idle 30 --drain 20 --nthreads 2" in script
    assert "--tag blender-4.2" in script
    assert ("--memory " + str(settings.get("memory")) in script) == ("memory" in settings)
    assert script.index("module load blender") < script.index("exec ")
    environment = (stand_in.folder / f"{submit}.env").read_text()
    assert "for nobody" not in environment
    assert "PATH=" in environment
    await jobs.cancel(job_id)
    assert stand_in.words(cancel)[-1] == job_id


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_not_set_is_not_asked_for(kind: str, stand_in: StandIn, tmp_path: Path) -> None:
    """dask-jobqueue asks for half an hour and for memory by itself; OAR alone wants a time in any case."""
    stand_in.add(KINDS[kind][2])
    script = queue(kind, tmp_path).job("test-1").job_script()
    unwanted = ["--mem=", "00:30", "#PBS -l walltime", ":mem=", "h_rt", "-M ", "RequestMemory"]
    assert [word for word in unwanted if word in script] == (["00:30"] if kind == "oar" else [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal(kind: str, stand_in: StandIn, tmp_path: Path) -> None:
    """The error has the queue's own words."""
    submit = KINDS[kind][2]
    stand_in.add(submit, complains=f"{submit}: error: no such queue", code=1)
    jobs = queue(kind, tmp_path)
    with pytest.raises(RequestError, match=f"{jobs.title} refuses a job for a node: no such queue$"):
        await jobs.submit("test-1")


@pytest.mark.parametrize("kind", KINDS)
def test_no_such_cluster_here(kind: str, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the queue's command is told so before anything runs."""
    monkeypatch.setenv("PATH", str(stand_in.folder))
    with pytest.raises(RequestError, match=f"There is no {KINDS[kind][2]} on this machine"):
        queue(kind, tmp_path)


def test_a_users_own_dask_settings_say_nothing(stand_in: StandIn, tmp_path: Path) -> None:
    """Options for Dask's workers would be wrong for our nodes."""
    import dask.config

    stand_in.add("sbatch")
    with dask.config.set({"jobqueue.slurm.interface": "ib0", "jobqueue.slurm.queue": "theirs"}):
        script = queue("slurm", tmp_path).job("test-1").job_script()
    assert "ib0" not in script
    assert "theirs" not in script


def test_dask_jobqueue_leaves_ctrl_c_alone() -> None:
    """Imported as it is, it takes SIGINT over, and fails in threads."""
    program = """
import signal, threading
from adapters.farm_cluster.jobs import _job_class
found, before = [], signal.getsignal(signal.SIGINT)
thread = threading.Thread(target=lambda: found.append(_job_class("slurm")))
thread.start()
thread.join()
assert found[0].submit_command == "sbatch"
assert signal.getsignal(signal.SIGINT) is before
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "slurm"}, "most"),
        ({"type": "cray", "most": 1}, "'slurm', 'pbs', 'sge', 'lsf', 'htcondor', 'oar'"),
        ({"type": "slurm", "most": 0}, "most"),
        ({"type": "slurm", "most": 1, "partition": "a\n#SBATCH -A other"}, "partition"),
        ({"type": "slurm", "most": 1, "prologue": ["a\nb"]}, "prologue"),
        ({"type": "slurm", "most": 1, "memory": "much"}, "memory"),
        ({"type": "slurm", "most": 1, "queue": "q"}, "queue"),
        ({"type": "pbs", "most": 1, "folder": "/a b"}, "no spaces"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    """A wrong setting is named."""
    with pytest.raises(ValidationError, match=words):
        TypeAdapter(ClusterConfig).validate_python(settings)
