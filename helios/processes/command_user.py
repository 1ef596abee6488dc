"""The user as whom commands run, on a worker that runs as root: what the worker knows is then out of their reach.

The variable HELIOS_COMMAND_USER of the worker's environment names the user. A caller can't set it.
"""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helios.errors import RequestError
from helios.variables import COMMAND_USER


@dataclass(frozen=True)
class CommandUser:
    """A user of the system."""

    name: str
    """The user's name."""
    uid: int
    """The user's number."""
    gid: int
    """The user's main group."""
    groups: tuple[int, ...]
    """All groups of the user."""
    home: str
    """The user's home folder."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "CommandUser | None":
        """The user that the environment names; None for the worker's own.

        Raises:
            RequestError: There is no such user, or it can't be had.
        """
        name = environment.get(COMMAND_USER, "").strip()
        if not name:
            return None
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            raise RequestError(f"{COMMAND_USER} is {name!r}, and there is no such user; make it (useradd), or name "
                               "another") from None  # fmt: skip
        if found.pw_uid == os.getuid():
            raise RequestError(f"{COMMAND_USER} is {name!r}, as whom this process runs itself; name another user")
        if os.getuid() != 0:
            raise RequestError(f"{COMMAND_USER} is {name!r}; that needs a worker that runs as root, and this one runs "
                               f"as user {os.getuid()}: leave it out, or start the worker as root")  # fmt: skip
        groups = tuple(os.getgrouplist(name, found.pw_gid))
        return cls(name, found.pw_uid, found.pw_gid, groups, found.pw_dir)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that name the user."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}

    def give(self, *folders: Path) -> None:
        """Let the user write to folders; not to the files in them, which may be links to a cache."""
        for folder in folders:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)

    @staticmethod
    def let_through(*folders: Path) -> None:
        """Let the user get to what is below folders, without seeing what else is there."""
        for folder in folders:
            folder.chmod(0o711)
