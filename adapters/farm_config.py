"""The settings of an own farm; apart from the adapter, so that Prefect's form can show them without Dask."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr

from adapters.farm_cluster.config import ClusterConfig
from adapters.remote import GivenStorage, RemoteSettings
from helios.models.requires import NOTHING, Requires
from helios.models.sandbox import SandboxKind
from helios.own_farm.node_state import SANDBOX_TAG
from helios.own_farm.places import cache_folder


def _from_tags(value: Any) -> Any:
    return {"tags": value} if isinstance(value, list | tuple | set | frozenset) else value


class FarmConfig(RemoteSettings):
    """Render chunks on the nodes of an own farm (`helios-job farm start`, `helios-job node`)."""

    model_config = ConfigDict(title="farm")

    type: Literal["farm"] = "farm"
    join: SecretStr | None = None
    """The farm's join token; that of HELIOS_FARM, or of the farm that was started on this machine, when empty."""
    storage: GivenStorage | None = None
    """What flow and nodes all reach: a bucket, or `file:///FOLDER` on a shared disk. When empty, this machine hands out
    input files itself, and takes in outputs, while the job runs."""
    folder: Path | None = None
    """Where this machine keeps the files that it hands out; below ~/.cache/helios when empty."""
    host: str | None = None
    """The address by which nodes reach this machine, where it hands out files; found by itself when empty."""
    requires: Annotated[Requires, BeforeValidator(_from_tags)] = NOTHING
    """What a node must have to get a chunk of this job, beside what its document requires: tags alone, or tags, GPUs
    and memory."""
    cluster: ClusterConfig | None = None
    """A cluster that is asked for nodes while chunks wait."""
    sandbox: Literal["bubblewrap"] | None = None
    """Run every command in a sandbox in which its own folder alone is writable; nodes where that does not work get no
    chunks. A node that was started with a sandbox uses one in any case."""
    sandbox_network: bool = False
    """Whether commands in a sandbox may use the network, where the node's owner lets them, too."""
    node_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How long a chunk waits for a node that can take it, before that counts as a failure of the environment."""
    scheduler_wait_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """How long to wait for a scheduler that is away."""

    @property
    def sandbox_kind(self) -> SandboxKind | None:
        """What nodes are asked for."""
        if self.sandbox is None:
            return None
        return SandboxKind.WITH_NETWORK if self.sandbox_network else SandboxKind.BUBBLEWRAP

    @property
    def all_requires(self) -> Requires:
        """What a node must have to get a chunk of this job, its sandbox included."""
        return self.requires | Requires(tags=frozenset({SANDBOX_TAG})) if self.sandbox else self.requires


def default_folder() -> Path:
    """Where a machine keeps the files that it hands out, unless its settings name a folder."""
    return cache_folder("farm")
