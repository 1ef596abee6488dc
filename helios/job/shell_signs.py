"""Tell a person that a command looks as if a shell were to read it: none does."""

import os
import re
from collections.abc import Sequence

_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1", "1>&2", "&>"})
_EXPANSION = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*|\$\(|`|^~/|^[^=]*=~/|;$")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "env", "ssh", "eval"})


def describe_shell_signs(argv: Sequence[str]) -> str | None:
    """What of a command only a shell would understand, and what to do; None if nothing is, or a shell reads it."""
    if any(os.path.basename(word) in _SHELLS for word in argv[:2]):
        return None
    signs = [word for word in argv if word in _OPERATORS or _EXPANSION.search(word)]
    if not signs:
        return None
    shown = ", ".join(dict.fromkeys(word if len(word) <= 40 else f"{word[:39]}…" for word in signs[:3]))
    return (
        f"No shell reads a job's commands: {shown} is handed over as it stands. If a shell is meant to read it, write "
        "sh -c '…'"
    )
