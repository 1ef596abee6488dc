"""Which sandbox a command runs in; `helios.processes.sandbox` makes it."""

from enum import StrEnum


class SandboxKind(StrEnum):
    """Which sandbox commands run in, the laxest first."""

    WITH_NETWORK = "bubblewrap+network"
    """They see this machine's network."""
    BUBBLEWRAP = "bubblewrap"
    """They have no network."""


def stricter(*wishes: SandboxKind | None) -> SandboxKind | None:
    """The strictest of what several parties want; None for no sandbox."""
    return max(filter(None, wishes), key=list(SandboxKind).index, default=None)
