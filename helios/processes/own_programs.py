"""Find the programs that are installed with this package: their folder is often not on PATH."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

OWN_PROGRAMS = frozenset({"helios-encode-chunk", "helios-openjd-chunk", "helios-page"})
"""Names of `[project.scripts]`."""


def with_own_program(argv: Sequence[str], path: str | None) -> list[str]:
    """A command whose program is found, if it is one of this package's.

    PATH comes first; then the folder of this process's interpreter, where installers put programs. `helios-job` is
    often called by its path, in an environment that is not activated.

    Args:
        argv: Program and arguments.
        path: The command's PATH.
    """
    program, *arguments = argv
    if program not in OWN_PROGRAMS or shutil.which(program, path=path):
        return [program, *arguments]
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    return [found or program, *arguments]
