"""One job, one run: a hold on a job, kept in Prefect's database.

A hold is a Prefect variable, since a variable's name is unique, so that creating one either works or says who was
first; and since every machine that takes part sees it. Its holder renews it while it lives. A hold whose holder died
is taken over: on the same machine as soon as the process is gone, elsewhere when the hold was not renewed for a while
in which it was watched. No clock is compared with another.
"""

import asyncio
import os
import socket
import uuid
from datetime import datetime
from typing import Any

import httpx
import psutil
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic import BaseModel, ConfigDict, ValidationError

from helios.errors import RequestError
from helios.processes.tree import end_commands_of, owner_mark
from tasks.prefect_api.log import RunLogger

PREFIX = "helios-job-"
BEAT_SECONDS = 5.0
"""Between two renewals."""
DEAD_SECONDS = 20.0
"""Who does not renew a hold while it is watched for so long is dead."""
LOOK_SECONDS = 0.5
PAGE = 200


class Holder(BaseModel):
    """Who works on a job: one process, in one run of the flow."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    """What people call the job."""
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
    """What the marks of its commands' processes begin with."""
    beat: int = 0
    """Raised with every renewal."""
    is_suspended: bool = False
    """Whether the process is ending, for another one of the same run to go on when that is resumed."""

    @classmethod
    def this_process(cls, *, job: str, run_id: str, run_name: str) -> "Holder":
        """This process as a holder."""
        return cls(
            job=job,
            run_id=run_id,
            run_name=run_name,
            token=uuid.uuid4().hex[:8],
            host=socket.gethostname(),
            machine=_machine(),
            pid=os.getpid(),
            started=_start_of(os.getpid()),
            owner=owner_mark(),
        )

    @property
    def is_here(self) -> bool:
        """Whether its process, if it lives, is one of this machine."""
        return self.machine == _machine()

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to be dead."""
        return self.is_here and _start_of(self.pid) != self.started

    def __str__(self) -> str:
        """Who it is, for messages."""
        return f"run {self.run_name} ({self.run_id}), process {self.pid} on {self.host}"


class JobHeldError(RequestError):
    """Another run works on the job.

    Args:
        holder: That run.
    """

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        super().__init__(
            f"The job {holder.job!r} is being rendered by {holder}; wait for its end, or cancel it: "
            f"helios-job cancel {holder.run_id}"
        )


class HoldLostError(RequestError):
    """Another run took the job over, since nothing was heard of this one for too long."""


class Hold:
    """A hold on one job.

    Args:
        client: Prefect's.
        key: The job's name in records.
        holder: Who wants it.
    """

    def __init__(self, client: PrefectClient, key: str, holder: Holder) -> None:
        self.holder = holder
        self._client = client
        self._name = f"{PREFIX}{key}"
        self._id: str | None = None

    async def take(self, logger: RunLogger) -> None:
        """Take the hold; end what a dead holder left running on this machine.

        Raises:
            JobHeldError: Somebody else has it.
        """
        while self._id is None:
            self._id = await self._create()
            if self._id is not None:
                return
            found = await find_hold(self._client, self._name)
            if found is None:
                continue
            number, other = found
            if other is not None and other.token == self.holder.token:
                self._id = number  # created by a request whose answer was lost
                return
            if other is not None:
                if not await self._is_dead(number, other):
                    raise JobHeldError(other)
                left = await end_commands_of(other.owner) if other.is_here else 0
                logger.info("Taken over from %s, which is gone%s", other, f"; {left} processes ended" if left else "")
            await drop_hold(self._client, number)

    async def renew(self) -> None:
        """Say that the holder lives.

        Raises:
            HoldLostError: Somebody else has taken the job over.
        """
        self.holder = self.holder.model_copy(update={"beat": self.holder.beat + 1})
        try:
            await self._client.request(
                "PATCH",
                "/variables/{id}",
                path_params={"id": self._id},
                json={"value": self.holder.model_dump()},
            )
        except (ObjectNotFound, PrefectHTTPStatusError) as exc:
            if _status(exc) != httpx.codes.NOT_FOUND:
                raise
            raise HoldLostError(
                "Another run took this job over, since nothing was heard of this one for "
                f"{DEAD_SECONDS:g} s; this one stops"
            ) from None

    async def suspend(self) -> None:
        """Say that this process is ending, and another one of the same run may wait for that.

        Raises:
            HoldLostError: Somebody else has taken the job over.
        """
        self.holder = self.holder.model_copy(update={"is_suspended": True})
        await self.renew()

    async def release(self) -> None:
        """Give it up."""
        if self._id is not None:
            await drop_hold(self._client, self._id)

    async def _create(self) -> str | None:
        body = {"name": self._name, "value": self.holder.model_dump(), "tags": ["helios-render"]}
        try:
            return str((await self._client.request("POST", "/variables/", json=body)).json()["id"])
        except PrefectHTTPStatusError as exc:
            if _status(exc) != httpx.codes.CONFLICT:
                raise
            return None

    async def _is_dead(self, number: str, holder: Holder) -> bool:
        if holder.is_gone:
            return True
        if holder.is_here:
            return False
        return not await shows_life(self._client, number, holder)


async def shows_life(client: PrefectClient, number: str, holder: Holder) -> bool:
    """Watch a hold for `DEAD_SECONDS` at most; say whether it was renewed, or given up."""
    deadline = asyncio.get_running_loop().time() + DEAD_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = parse_hold((await client.request("GET", "/variables/{id}", path_params={"id": number})).json())
        except (ObjectNotFound, PrefectHTTPStatusError):
            return True
        if found[1] is None or found[1].beat != holder.beat:
            return True
    return False


async def all_holds(client: PrefectClient) -> list[tuple[str, Holder, datetime]]:
    """Every hold: its id, who has it, and when it was last renewed, by the server's clock."""
    found: list[tuple[str, Holder, datetime]] = []
    offset = 0
    while page := (await client.request(
        "POST",
        "/variables/filter",
        json={"variables": {"name": {"like_": PREFIX}}, "limit": PAGE, "offset": offset},
    )).json():  # fmt: skip
        offset += len(page)
        for document in page:
            number, holder = parse_hold(document)
            if holder is not None:
                found.append((number, holder, datetime.fromisoformat(document["updated"])))
    return found


async def find_hold(client: PrefectClient, name: str) -> tuple[str, Holder | None] | None:
    """A hold by name: its id, and who has it; None for the holder where that can't be read."""
    try:
        return parse_hold((await client.request("GET", "/variables/name/{name}", path_params={"name": name})).json())
    except (ObjectNotFound, PrefectHTTPStatusError) as exc:
        if _status(exc) != httpx.codes.NOT_FOUND:
            raise
        return None


def parse_hold(document: dict[str, Any]) -> tuple[str, Holder | None]:
    """A variable as a hold."""
    try:
        return str(document["id"]), Holder.model_validate(document["value"])
    except ValidationError:
        return str(document["id"]), None


async def drop_hold(client: PrefectClient, number: str) -> None:
    """Remove a hold; one that is gone is no error."""
    try:
        await client.request("DELETE", "/variables/{id}", path_params={"id": number})
    except (ObjectNotFound, PrefectHTTPStatusError) as exc:
        if _status(exc) != httpx.codes.NOT_FOUND:
            raise


def _status(exc: Exception) -> int:
    if isinstance(exc, ObjectNotFound):
        return int(httpx.codes.NOT_FOUND)
    return exc.response.status_code if isinstance(exc, PrefectHTTPStatusError) else 0


def _start_of(pid: int) -> str:
    """When a process began, in a form that no change of a clock alters; empty for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] == b"Z" else fields[19].decode()  # ticks since the machine's boot
    except OSError:
        pass
    try:
        return str(psutil.Process(pid).create_time())  # not Linux
    except psutil.Error:
        return ""


def _machine() -> str:
    """Names the boot of a machine, and the container."""
    boot = space = ""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        pass  # not Linux: the name must do
    return f"{socket.gethostname()} {boot} {space}"
