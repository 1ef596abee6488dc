"""A fresh folder for each attempt on a worker: input files, output, log and temporary files."""

import os
from pathlib import Path
from types import TracebackType

from helios.errors import WorkerUnavailableError
from helios.processes.attempt_folder import LockedFolder, attempt_environment, remove_abandoned
from helios.processes.command_user import CommandUser

SPACES = "workspaces"


class Workspace(LockedFolder):
    """One attempt's folder.

    Args:
        folder: The worker's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / SPACES)
        self.files = self.path / "job"
        """Where the command runs: assets and output."""
        self.temporary = self.path / "tmp"
        """The command's TMPDIR."""
        self.log = self.path / "log.jsonl"
        """What the command prints."""

    def __enter__(self) -> "Workspace":
        try:
            remove_abandoned(self.path.parent)
            self.open()
            self.files.mkdir()
            self.temporary.mkdir()
        except OSError as exc:
            self.remove()
            raise WorkerUnavailableError(f"The worker can't make a workspace in {self.path}: {exc.strerror}") from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def give_to(self, user: CommandUser) -> None:
        """Let another user write to the command's folders."""
        user.let_through(self.path)
        user.give(self.temporary, *(Path(folder) for folder, _, _ in os.walk(self.files)))

    @property
    def environment(self) -> dict[str, str]:
        """Variables of every command that runs here."""
        return {**attempt_environment(self.path, self.temporary), "HOME": str(self.files)}
