"""The owner of a lock: a process that renders a job, as other processes see it."""

import os
import socket
import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from helios.processes.identity import machine_id, process_start
from helios.processes.tree import owner_mark
from tasks.run.priority import DEFAULT_WEIGHT, MOST_WEIGHT


class LockOwner(BaseModel):
    """The owner of a lock: one process, in one run of the flow."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    """The job's name."""
    run_id: str
    """Its flow run."""
    run_name: str
    """The flow run's name."""
    token: str
    """Tells this execution of the flow run from others."""
    host: str
    """The machine's name."""
    machine: str
    """The machine's boot, and the container: within it, process ids mean the same."""
    pid: int
    """The process."""
    started: str
    """When the process began, as the machine counts: a process id is given again."""
    owner: str
    """Begins the marks of the owner's command processes."""
    beat: int = 0
    """Raised with every renewal."""
    is_suspended: bool = False
    """Whether the process is ending, so that another process of the same run may go on when that run is resumed."""
    weight: Annotated[int, Field(ge=1, le=MOST_WEIGHT)] = DEFAULT_WEIGHT
    """The run's share of a limit that several runs want, in relation to theirs."""
    demands: dict[str, Annotated[int, Field(ge=0)]] = {}
    """How many slots of each limit it holds or waits for, by the limit's name; limits that it has not met are left
    out."""

    @classmethod
    def this_process(cls, *, job: str, run_id: str, run_name: str) -> "LockOwner":
        """This process as an owner."""
        return cls(
            job=job,
            run_id=run_id,
            run_name=run_name,
            token=uuid.uuid4().hex[:8],
            host=socket.gethostname(),
            machine=machine_id(),
            pid=os.getpid(),
            started=process_start(os.getpid()),
            owner=owner_mark(),
        )

    @property
    def is_here(self) -> bool:
        """Whether its process runs, or ran, on this machine."""
        return self.machine == machine_id()

    @property
    def is_own_process(self) -> bool:
        """Whether its process is this one, which may render several jobs."""
        return self.is_here and self.pid == os.getpid() and process_start(self.pid) == self.started

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to be dead."""
        return self.is_here and process_start(self.pid) != self.started

    def __str__(self) -> str:
        """The owner as messages name it."""
        return f"run {self.run_name} ({self.run_id}), process {self.pid} on {self.host}"
