"""What a hostile file makes of its reader: functions that readers carry out, in a module that imports little."""

import os
from pathlib import Path


def note_and_loop(folder: Path) -> None:
    """Say which process this is, and never end."""
    (folder / "pid").write_text(str(os.getpid()))
    while True:
        pass


def take_memory(_path: Path, size: int) -> int:
    """Take memory, and use it."""
    return len(b"x" * size)


def die(_path: Path, _size: int) -> None:
    """End as a crash in C code does."""
    os.kill(os.getpid(), 11)


def whoami(_path: Path) -> tuple[int, int, str | None]:
    """The reader's process id and priority, and a variable of its environment."""
    return os.getpid(), os.getpriority(os.PRIO_PROCESS, 0), os.environ.get("HELIOS_SECRET_OF_THIS_TEST")
