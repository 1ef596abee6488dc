"""Tell a person that a command looks as if a shell were to read it: none does."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from helios.processes.script_text import describe_script_signs

_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1", "1>&2", "&>"})
_EXPANSION = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*|\$\(|`|^~(/|$)|^[^=]*=~/|;$|^[0-9&]?>>?[^>=]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_WILDCARDS = re.compile(r"[*?]|\[.+\]")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env", "ssh", "eval"})


def describe_signs(argv: Sequence[str], directory: Path, *, has_run: bool = True) -> list[str]:
    """What may have made a command fail, that its own messages do not say in clear words.

    Args:
        argv: Its words.
        directory: Where it ran.
        has_run: Whether it could be started: else it has been said of its script why not.
    """
    names_files = any(_is_wildcard(word, directory) for word in argv[1:] if _WILDCARDS.search(word))
    found = [describe_shell_signs(argv, names_files=names_files)]
    if has_run:
        found.append(describe_script_signs(argv, str(directory)))
    return [sign for sign in found if sign is not None]


def describe_shell_signs(argv: Sequence[str], *, names_files: bool = False) -> str | None:
    """What of a command only a shell would understand, and what to do; None if nothing is, or a shell reads it.

    Args:
        argv: Its words.
        names_files: Whether wildcards in them are names of files.
    """
    if any(os.path.basename(word) in _SHELLS for word in argv[:2]):
        return None
    signs = [word for word in argv[:1] if _ASSIGNMENT.match(word)]
    signs += [
        word
        for word in argv
        if word in _OPERATORS or _EXPANSION.search(word) or (names_files and _WILDCARDS.search(word))
    ]
    if not signs:
        return None
    shown = ", ".join(dict.fromkeys(word if len(word) <= 40 else f"{word[:39]}…" for word in signs[:3]))
    return (
        f"No shell reads a job's commands: {shown} is handed over as it stands. If a shell is meant to read it, write "
        "sh -c '…'"
    )


def _is_wildcard(word: str, directory: Path) -> bool:
    """Whether a word has no file of its own name, and would name some if a shell read it."""
    try:
        return not (directory / word).exists() and bool(glob.glob(word, root_dir=directory))
    except (OSError, ValueError):
        return False
