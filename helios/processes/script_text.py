r"""What in the text of a script keeps it from being run, which neither the system nor a shell says in clear words.

Files of Windows end their lines with \r\n, and begin with a byte order mark at times. To the system and to shells these
are parts of a name, of an option, or of a word.
"""

import os
from collections.abc import Sequence

from helios.regular_file import open_regular

READ_BYTES = 4096
"""Of a script's beginning."""
FIRST_WORDS = 4
"""Words of a command among which a shell's script is looked for: `bash -e -u render.sh`."""
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "busybox"})
MARKS = {b"\xef\xbb\xbf": "a byte order mark", b"\xff\xfe": "the mark of UTF-16", b"\xfe\xff": "the mark of UTF-16"}
"""How files begin that editors of Windows saved, and how people call it."""
ELF = b"\x7fELF"


def why_not_executable(place: str, program: str) -> str:
    """Why the system calls a file, which is there and executable, no program.

    Args:
        place: The file.
        program: What the command calls it.
    """
    first = _beginning(place)
    if first is None:
        return f"The program {program!r} cannot be run: it is no program"
    if (marked := _mark(first)) is not None:
        return (
            f"The program {program!r} begins with {marked}, before its interpreter line; save it as UTF-8 without one"
        )
    if not first:
        return f"The program {program!r} is an empty file"
    if first.startswith(ELF) or b"\0" in first:
        return f"The program {program!r} cannot be run: Exec format error; is it for another system or processor?"
    return (
        f"The program {program!r} has no interpreter line; begin it with one, such as #!/bin/sh, or write the "
        f"interpreter in front of it (sh {program})"
    )


def describe_script_signs(argv: Sequence[str], cwd: str) -> str | None:
    r"""What is to be said of a command that failed: that a shell reads a script with marks or line ends of Windows.

    Args:
        argv: The command's words.
        cwd: Where it ran.

    Returns:
        None if there is nothing of the kind.
    """
    is_shell = os.path.basename(argv[0]) in SHELLS
    for word in argv[1:FIRST_WORDS] if is_shell else argv[:1]:
        first = _beginning(os.path.join(cwd, word)) if is_shell or "/" in word else None
        if first is None:
            continue
        line, _, rest = first.partition(b"\n")
        if is_shell and (marked := _mark(first)) is not None:
            return (
                f"{word} begins with {marked}, which a shell takes for part of a word; save it as UTF-8 without a mark"
            )
        names_shell = line.startswith(b"#!") and any(name.encode() in line for name in SHELLS)
        if (line.startswith(b"#!") and line.endswith(b"\r")) or ((is_shell or names_shell) and b"\r\n" in rest):
            return (
                f"The lines of {word} end in \\r\\n, as files from Windows have it: \\r becomes part of a line's last "
                f"word; write the file with line ends of Unix (dos2unix {word})"
            )
    return None


def _mark(first: bytes) -> str | None:
    return next((name for mark, name in MARKS.items() if first.startswith(mark)), None)


def _beginning(place: str) -> bytes | None:
    """The first bytes of a regular file; None for anything else."""
    try:
        with open_regular(place) as file:
            return file.read(READ_BYTES)
    except (OSError, ValueError):
        return None
