"""A flow's folder on the cluster's disk, with the join token and its jobs' logs; and the flow's guard."""

import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from adapters.farm_cluster.guarded import Guard
from helios.errors import RequestError
from helios.own_farm.join_token import JoinToken
from helios.own_farm.places import cache_folder
from helios.private_file import write_private

KEPT_SECONDS = 30 * 86_400
"""Logs of jobs that failed are kept for so long."""
TOKEN = "token"  # noqa: S105  the file's name
"""The file with the join token."""
_OURS = re.compile(r"helios-[a-z]+-[0-9a-f]{6}")


class FlowFolder:
    """The folder of one flow.

    Args:
        base: The folder of all flows; below ~/.cache when None.
        name: The flow's.
        token: What nodes find there.
    """

    def __init__(self, base: Path | None, name: str, token: JoinToken) -> None:
        self.path = (base or cache_folder("cluster")).absolute() / name
        """The folder."""
        self._token = token
        self._guard: Guard | None = None

    def open(self, title: str, *, cancel: list[str]) -> None:
        """Make the folder, for its user alone, and start the guard.

        Args:
            title: The queue, for an error.
            cancel: The command that takes a job out of the queue; the job's id is added.

        Raises:
            RequestError: It can't be made.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_old(self.path.parent)
            self.path.mkdir(mode=0o700)
            write_private(self.path / TOKEN, f"{self._token.text}\n")
        except OSError as exc:
            raise RequestError(
                f"The folder {self.path} for the join token and the logs of {title} jobs can't be made "
                f"({exc.strerror}); name another one that the cluster's machines see (folder in the cluster's settings)"
            ) from None
        self._guard = Guard(cancel, token_file=self.path / TOKEN)

    def note(self, sign: str, job_id: str) -> None:
        """Tell the guard of a job: `+` for one to cancel if this process dies, `-` for one that needs it no more."""
        if self._guard is not None:
            self._guard.note(sign, job_id)

    async def close(self, *, keep: bool = False) -> None:
        """Remove the token, and the folder with it unless the logs are to be kept."""
        if self._guard is not None:
            await self._guard.close()
        (self.path / TOKEN).unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)


def _remove_old(base: Path) -> None:
    for old in base.glob("helios-*"):
        with suppress(OSError):
            if _OURS.fullmatch(old.name) and time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
