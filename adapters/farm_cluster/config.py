"""Which cluster gives nodes to an own farm, and what its jobs ask for."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Word = Annotated[str, Field(max_length=256, pattern=r"^[\w.,:;=/+@%*\[\]-]+$")]
"""What stands in a job's header without quotes."""
Line = Annotated[str, Field(max_length=2000, pattern=r"^[^\r\n]+$")]
"""One line of a job's script."""


def _plain(path: Path) -> Path:
    if any(sign.isspace() for sign in str(path)):
        raise ValueError("queues take no spaces in the path of a log; expected a folder without")
    return path


class QueueSettings(BaseModel):
    """What every queue is asked for. A node is one job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: Annotated[int, Field(ge=1, le=1000)]
    """The most nodes at a time, those that wait in the queue among them."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    """Chunks at a time on each node."""
    cores: Annotated[int, Field(ge=1, le=4096)] | None = None
    """CPU cores of each node; one for each slot when empty."""
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?([KMGT]i?)?B$")] | None = None
    """Memory of each node, such as `16GB`; what the cluster gives by itself when empty."""
    walltime: Word | None = None
    """For how long, as the queue writes it (`02:00:00`); the queue's own limit when empty."""
    directives: tuple[Line, ...] = ()
    """Further lines of the job's header, without their mark: `--constraint=avx512`."""
    prologue: tuple[Line, ...] = ()
    """Shell commands before the node starts: `module load blender/4.2`, `export HELIOS_FOLDER=/scratch`."""
    python: Line | None = None
    """The Python with this project on the cluster's machines; this one's path when empty."""
    folder: Annotated[Path, AfterValidator(_plain)] | None = None
    """A folder that the cluster's machines see at the same path, for the join token and the jobs' logs; below
    ~/.cache/helios when empty."""
    tags: frozenset[Annotated[str, Field(pattern=r"^[\w.+-]{1,64}$")]] = frozenset()
    """What the nodes can do; they also have all tags that the job requires."""
    idle_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """A node that has had nothing to do for so long is given back; also when this machine is gone."""
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 20.0
    """How long chunks may go on when the queue ends a node. Slurm kills it 30 s after SIGTERM unless KillWait says
    otherwise."""


class Slurm(QueueSettings):
    """Slurm."""

    model_config = ConfigDict(title="Slurm")

    type: Literal["slurm"]
    partition: Word | None = None
    """The partition; the cluster's usual one when empty."""
    account: Word | None = None
    """Who is charged."""
    gres: Word | None = None
    """Generic resources, such as `gpu:1`."""


class Pbs(QueueSettings):
    """PBS Pro, OpenPBS or Torque."""

    model_config = ConfigDict(title="PBS")

    type: Literal["pbs"]
    queue: Word | None = None
    """The queue."""
    account: Word | None = None
    """Who is charged."""
    resources: Line | None = None
    """What `-l` asks for; `select=1:ncpus=CORES:mem=MEMORY` when empty."""


class ProjectQueue(QueueSettings):
    """What queues are asked for that charge a project."""

    queue: Word | None = None
    """The queue."""
    project: Word | None = None
    """Who is charged."""


class Sge(ProjectQueue):
    """Grid Engine. It counts cores only if a directive names a parallel environment: `-pe smp 4`."""

    model_config = ConfigDict(title="Grid Engine")

    type: Literal["sge"]
    resources: Line | None = None
    """What `-l` asks for, memory among it: `h_vmem=8G`."""


class Lsf(ProjectQueue):
    """LSF."""

    model_config = ConfigDict(title="LSF")

    type: Literal["lsf"]


class Htcondor(QueueSettings):
    """HTCondor; a directive is `NAME = VALUE`."""

    model_config = ConfigDict(title="HTCondor")

    type: Literal["htcondor"]
    disk: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?([KMGT]i?)?B$")] = "1GB"
    """Disk of each node."""


class Oar(ProjectQueue):
    """OAR."""

    model_config = ConfigDict(title="OAR")

    type: Literal["oar"]
    resources: Line | None = None
    """What `-l` asks for; `/nodes=1/core=CORES` when empty."""


Queue = Slurm | Pbs | Sge | Lsf | Htcondor | Oar
"""One of the queues."""
ClusterConfig = Annotated[Queue, Field(discriminator="type")]
"""One of the queues, chosen by its `type`."""
