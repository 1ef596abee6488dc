"""Which cluster gives nodes to an own farm, and what its jobs ask for."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Word = Annotated[str, Field(max_length=256, pattern=r"^[\w.,:;=/+@%*\[\]-]+$")]
"""What stands in a job's header without quotes."""
Line = Annotated[str, Field(max_length=2000, pattern=r"^[^\r\n]+$")]
"""One line of a job's script."""
Tag = Annotated[str, Field(pattern=r"^[\w.+-]{1,64}$")]
"""What a node can do."""
Label = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
"""A name of Kubernetes."""


def _plain(path: Path) -> Path:
    if any(sign.isspace() for sign in str(path)):
        raise ValueError("queues take no spaces in the path of a log; expected a folder without")
    return path


class NodeSettings(BaseModel):
    """What every kind of cluster is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: Annotated[int, Field(ge=1, le=1000)]
    """The most nodes at a time, those that have not come yet among them."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 1
    """Chunks at a time on each node."""
    tags: frozenset[Tag] = frozenset()
    """What the nodes can do; they also have all tags that the job requires."""
    sandbox: Literal["bubblewrap"] | None = None
    """The nodes run every command in a sandbox; see docs/adapters.md."""
    idle_seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    """A node that has had nothing to do for so long is given back; also when this machine is gone."""
    drain_seconds: Annotated[float, Field(ge=0, le=86_400)] = 20.0
    """How long chunks may go on when the cluster ends a node. Slurm kills it 30 s after SIGTERM unless KillWait says
    otherwise."""

    def node_options(self, tags: Collection[str]) -> list[str]:
        """The options of `python -m helios.own_farm` for a node with these tags."""
        words = ["--slots", str(self.slots), "--idle", f"{self.idle_seconds:g}", "--drain", f"{self.drain_seconds:g}"]
        words += ["--sandbox", self.sandbox] if self.sandbox else []
        return [*words, *(word for tag in sorted(tags) for word in ("--tag", tag))]


class QueueSettings(NodeSettings):
    """What every queue is asked for. A node is one job."""

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


class Kubernetes(NodeSettings):
    """Kubernetes: a node is a Job with one pod."""

    model_config = ConfigDict(title="Kubernetes")

    type: Literal["kubernetes"]
    image: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^\S+$")]
    """The container image: this project with the extra farm, and what commands need."""
    namespace: Label | None = None
    """The namespace; the kubeconfig's, or this pod's own, when empty."""
    cpu: Annotated[float, Field(gt=0, le=4096)] | None = None
    """CPUs of each node; one for each slot when empty."""
    memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?([KMGT]i?)?B$")] | None = None
    """Memory of each node, such as `16GB`, which is also the limit at which the pod is killed; none when empty."""
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    """GPUs of each node."""
    chunks_per_gpu: Annotated[int, Field(ge=1, le=64)] = 1
    """How many chunks may share a GPU."""
    gpu_resource: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] = "nvidia.com/gpu"
    """What the cluster calls a GPU."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the machines that pods may run on."""
    tolerations: tuple[dict[str, Any], ...] = ()
    """Taints that pods tolerate, as a pod has them."""
    service_account: Label | None = None
    """The pods' service account, whose token commands can read then; no token is mounted when empty."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the node: `HELIOS_COMMAND_USER`, `HELIOS_FOLDER`, …"""
    env_from: tuple[Label, ...] = ()
    """Secrets whose entries are variables of the node, such as a bucket's credentials; commands do not get them."""
    python: Line = "python"
    """The Python with this project in the image."""
    pod: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the pod's spec: `volumes`, `hostNetwork`, `priorityClassName`, …"""
    container: dict[str, Any] = Field(default_factory=dict)
    """Further fields of its container: `volumeMounts`, `securityContext`, …"""
    lifetime_seconds: Annotated[int, Field(ge=60)] | None = None
    """Kubernetes ends a node after so long; never when empty."""
    kubeconfig: Path | None = None
    """The file that says how to reach the cluster; KUBECONFIG, ~/.kube/config, or this pod's own access when empty."""
    context: Annotated[str, Field(min_length=1)] | None = None
    """The kubeconfig's context; its current one when empty."""


class Ec2(NodeSettings):
    """Amazon EC2: a node is an instance, which ends itself when its node does."""

    model_config = ConfigDict(title="Amazon EC2")

    type: Literal["ec2"]
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] | None = None
    """The region; that of AWS_REGION or the profile when empty."""
    launch_template: Annotated[str, Field(max_length=128, pattern=r"^[\w().:/ -]+$")] | None = None
    """The name of a launch template, or its id (`lt-…`): what is left out below is taken from it."""
    image: Annotated[str, Field(pattern=r"^(ami|resolve)[\w:/.-]+$")] | None = None
    """The machine image, with this project and what commands need: `ami-…`, or `resolve:ssm:PARAMETER`."""
    instance_type: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")] | None = None
    """The kind of machine: `c7i.4xlarge`."""
    subnet: Annotated[str, Field(pattern=r"^subnet-\w+$")] | None = None
    """Where instances are; in the default network when empty."""
    security_groups: tuple[Annotated[str, Field(pattern=r"^sg-\w+$")], ...] = ()
    """Their security groups."""
    instance_profile: Annotated[str, Field(max_length=512, pattern=r"^[\w+=,.@:/-]+$")] | None = None
    """Name or ARN of the profile by which nodes reach a bucket."""
    spot: bool = False
    """Spot instances: cheaper, and taken away with two minutes' notice."""
    instance_tags: dict[str, str] = Field(default_factory=dict)
    """Further tags of the instances, for bills."""
    prologue: tuple[Line, ...] = ()
    """Shell commands, as root, before the node starts."""
    python: Line = "python3"
    """The Python with this project in the image."""

    @model_validator(mode="after")
    def _names_a_machine(self) -> "Ec2":
        if self.launch_template is None and (self.image is None or self.instance_type is None):
            raise ValueError("needs launch_template, or image and instance_type")
        return self


Queue = Slurm | Pbs | Sge | Lsf | Htcondor | Oar
"""One of the batch queues."""
ClusterSettings = Queue | Kubernetes | Ec2
"""What gives nodes."""
ClusterConfig = Annotated[ClusterSettings, Field(discriminator="type")]
"""What gives nodes, chosen by its `type`."""
