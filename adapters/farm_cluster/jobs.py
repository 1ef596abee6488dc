"""Jobs in a cluster's queue, by dask-jobqueue's classes: what they ask for, how they are submitted and cancelled.

dask-jobqueue is imported in this module alone. It knows no state of a job: `states.py` asks for that.
"""

import asyncio
import os
import re
import shlex
import shutil
import sys
import types
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from adapters.farm_cluster.config import Htcondor, Lsf, Oar, Pbs, Queue, Sge, Slurm
from helios.errors import RequestError
from helios.processes.environment import withheld_variables

NODE = "helios.own_farm.queued_node"
"""What a job runs, as `python -m`."""
SUBMIT_SECONDS = 120.0
"""How long a queue may take to accept a job."""
TITLES = {"slurm": "Slurm", "pbs": "PBS", "sge": "Grid Engine", "lsf": "LSF", "htcondor": "HTCondor", "oar": "OAR"}


class JobQueue:
    """A cluster's queue, for the jobs of one flow.

    Args:
        config: What the jobs ask for.
        name: What all of them are called.
        folder: Where the token's file is, and where their logs go.
        tags: What their nodes can do.

    Raises:
        RequestError: dask-jobqueue or the queue's command is missing.
    """

    def __init__(self, config: Queue, *, name: str, folder: Path, tags: Collection[str]) -> None:
        self._config = config
        self._name = name
        self._folder = folder
        self._tags = sorted(tags)
        self.kind = config.type
        """The queue, as the setting's type."""
        self.title = TITLES[self.kind]
        """The queue's name for people."""
        program = _job_class(self.kind).submit_command
        if shutil.which(program) is None:
            raise RequestError(
                f"There is no {program} on this machine, so no node can be asked for in {self.title}; run the job on a "
                "machine from which the cluster's jobs are submitted, or leave cluster out of the adapter's settings"
            )

    @property
    def token_file(self) -> Path:
        """Where nodes read the join token."""
        return self._folder / "token"

    @property
    def cancel_command(self) -> list[str]:
        """The words to which a job's id is added."""
        return shlex.split(_job_class(self.kind).cancel_command)

    def job(self, name: str) -> Any:
        """A job of dask-jobqueue that becomes the node of this name."""
        with _fresh_settings():
            job = _job_class(self.kind)(
                scheduler=shlex.quote(str(self.token_file)),
                name=name,
                job_name=self._name,
                cores=self._config.cores or self._config.slots,
                memory=self._config.memory or "1GB",
                processes=1,
                # `exec`, so that what the queue signals is the node, and not a shell around it.
                python=f"exec {shlex.quote(self._config.python or sys.executable)}",
                worker_command=NODE,
                worker_extra_args=self._node_options(),
                job_script_prologue=list(self._config.prologue),
                log_directory=str(self._folder),
                **_header(self._config),
            )
        # A queue may hand this process's environment to its jobs, and keep it: without what looks like a credential.
        without = " ".join(f"-u {shlex.quote(name)}" for name in withheld_variables(os.environ))
        # dask-jobqueue gives bsub the script as standard input, and drops what it complains.
        command = "sh -c 'bsub 2>&1'" if self.kind == "lsf" else job.submit_command
        job.submit_command = f"env {without} {command}"
        return job

    def _node_options(self) -> list[str]:
        words = ["--idle", f"{self._config.idle_seconds:g}", "--drain", f"{self._config.drain_seconds:g}"]
        # argparse takes the last one: chunks at a time need not be the number of cores.
        words += ["--nthreads", str(self._config.slots)]
        words += ["--sandbox", self._config.sandbox] if self._config.sandbox else []
        words += ["--memory", shlex.quote(self._config.memory)] if self._config.memory else []
        return [*words, *(word for tag in self._tags for word in ("--tag", shlex.quote(tag)))]

    async def try_out(self) -> None:
        """Ask the queue whether it would take such a job, where it can say so without taking it.

        Raises:
            RequestError: It would not.
        """
        if self.kind == "slurm":
            job = self.job("probe")
            job.submit_command += " --test-only"
            with job.job_file() as path:
                await self._call(job._submit_job(path))

    async def submit(self, name: str) -> str:
        """Ask for the node of a name; the job's id.

        Raises:
            RequestError: The queue refuses the job.
        """
        job = self.job(name)
        await self._call(job.start())
        return str(job.job_id)

    async def cancel(self, job_id: str) -> None:
        """End a job, or take it out of the queue; nothing happens if it is over."""
        job = self.job("probe")
        job.job_id = job_id
        with suppress(RequestError):
            await self._call(job.close())

    def last_words(self, job_id: str) -> str:
        """The last line of a job's log, as far as it has arrived here."""
        number = job_id.split(".")[0]
        for path in sorted(self._folder.glob(f"*[!0-9]{number}*"), key=lambda path: path.stat().st_mtime, reverse=True):
            with suppress(OSError):
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - 4096))
                    lines = file.read().decode(errors="replace").split("\n")
                if told := [line.strip() for line in lines if line.strip()]:
                    return f"{told[-1][:300]} ({path})"
        return f"it left no log in {self._folder}"

    async def _call(self, call: Any) -> None:
        try:
            async with asyncio.timeout(SUBMIT_SECONDS):
                await call
        except TimeoutError:
            raise RequestError(f"{self.title} does not answer within {SUBMIT_SECONDS:g} s") from None
        except (OSError, RuntimeError, ValueError) as exc:
            raise RequestError(f"{self.title} refuses a job for a node: {_complaint(str(exc))}") from None


RUNNER = "dask_jobqueue.runner"


def _job_class(kind: str) -> Any:
    """dask-jobqueue's class for a queue.

    Its module `runner`, of which nothing here makes use, takes SIGINT over when it is imported, so that Ctrl-C would no
    longer reach this process's own handler; and its import fails in every thread but the main one. An empty module
    stands in for it.
    """
    if RUNNER not in sys.modules:
        sys.modules[RUNNER] = types.ModuleType(RUNNER)
        vars(sys.modules[RUNNER]).update(BaseRunner=object, Role=object)
    try:
        import dask_jobqueue.htcondor as htcondor
        import dask_jobqueue.lsf as lsf
        import dask_jobqueue.oar as oar
        import dask_jobqueue.pbs as pbs
        import dask_jobqueue.sge as sge
        import dask_jobqueue.slurm as slurm
    except ImportError as exc:
        raise RequestError(
            f"Nodes of a cluster need the extra farm, which is not installed here ({exc.name}); install it: "
            "pip install -c constraints.txt -e '.[app,farm]'"
        ) from exc
    return {
        "slurm": slurm.SLURMJob, "pbs": pbs.PBSJob, "sge": sge.SGEJob, "lsf": lsf.LSFJob,
        "htcondor": htcondor.HTCondorJob, "oar": oar.OARJob,
    }[kind]  # fmt: skip


def _fresh_settings() -> Any:
    """Dask's settings as dask-jobqueue ships them: a jobqueue.yaml of this user's says nothing about nodes of ours."""
    import dask.config

    return dask.config.set({"jobqueue": _shipped_settings()})


@lru_cache(maxsize=1)
def _shipped_settings() -> Any:
    import yaml

    module = sys.modules[_job_class("slurm").__module__].__file__
    return yaml.safe_load(Path(str(module)).with_name("jobqueue.yaml").read_text())["jobqueue"]


def _header(config: Queue) -> dict[str, Any]:
    """The arguments by which dask-jobqueue's classes differ.

    They ask for half an hour, and for memory, in any case: these lines are skipped where nothing was set.
    """
    directives: Any = list(config.directives)
    skip: list[str] = []
    found: dict[str, Any] = {"walltime": config.walltime or "00:30:00"}
    match config:
        case Slurm():
            directives += [f"--gres={config.gres}"] if config.gres else []
            found |= {"queue": config.partition, "account": config.account}
            skip = _skipped(config, walltime="#SBATCH -t", memory="#SBATCH --mem=")
        case Pbs():
            cores = config.cores or config.slots
            resources = config.resources or (None if config.memory else f"select=1:ncpus={cores}")
            found |= {"queue": config.queue, "account": config.account, "resource_spec": resources}
            skip = _skipped(config, walltime="#PBS -l walltime=")
        case Sge():
            found |= {"queue": config.queue, "project": config.project, "resource_spec": config.resources}
            skip = _skipped(config, walltime="#$ -l h_rt=")
        case Lsf():
            found |= {"queue": config.queue, "project": config.project, "use_stdin": True}
            skip = _skipped(config, walltime="#BSUB -W", memory="#BSUB -M")
        case Htcondor():
            found = {"disk": config.disk}
            directives = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in directives)
            skip = [] if config.memory else ["RequestMemory"]
        case Oar():
            found |= {"queue": config.queue, "project": config.project, "resource_spec": config.resources,
                      "memory_per_core_property_name": "not_applicable"}  # fmt: skip
    return {**found, "job_extra_directives": directives, "job_directives_skip": skip}


def _skipped(config: Queue, *, walltime: str, memory: str | None = None) -> list[str]:
    return [
        *([walltime] if config.walltime is None else []),
        *([memory] if memory is not None and config.memory is None else []),
    ]


def _complaint(message: str) -> str:
    """What a queue's command said, without what dask-jobqueue says around it."""
    found = re.search(r"^stderr:\n(.*)", message, re.DOTALL | re.MULTILINE)
    said = found[1].strip() if found else message
    if found and not said:
        said = re.sub(r"(?s).*stdout:\n(.*)\nstderr:.*", r"\1", message).strip()
    lines = [re.sub(r"^\w+: (error: )?", "", line.strip()) for line in said.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))[:500] or "without a reason"
