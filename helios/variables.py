"""Variables of the environment whose names look like a mistake: nothing reads them, and nobody would notice."""

from collections.abc import Callable, Collection, Mapping

PREFIX = "HELIOS_"
WEBHOOK_SECRET = f"{PREFIX}WEBHOOK_SECRET"
"""What a job's webhook is signed with, where the job runs."""
COMMAND_USER = f"{PREFIX}COMMAND_USER"
"""As whom commands run, where the worker runs as root."""
ALLOW_INLINE = f"{PREFIX}ALLOW_INLINE"
"""Whether a worker of Prefect takes documents and adapter settings that came as parameters of a run."""
PRICES = f"{PREFIX}PRICES"
"""A file with prices of one's own: `helios.prices.book`."""
FARM = f"{PREFIX}FARM"
"""The join token of an own farm, where it is given neither to the node nor to the adapter."""
LIKENESS = 0.85
"""Of two names, from 0 to 1: about one letter of ten is another. Other programs, such as the Helios renderer, have
variables of this prefix too."""


def misspelt(environment: Mapping[str, str], known: Callable[[], Collection[str]]) -> list[str]:
    """Say which variables nothing reads although their names are much like names that are read.

    Args:
        environment: The variables.
        known: Returns the names that are read; called if there are variables of this kind.

    Returns:
        A line for each, by name; the values are not in it, since they may be secrets.
    """
    ours = [name for name in sorted(environment) if name.upper().startswith(PREFIX[:5])]
    if not ours:
        return []
    from difflib import get_close_matches

    names = sorted(known())
    return [
        f"nothing reads the variable {name}; did you mean {likely[0]}?"
        for name in ours
        if name not in names and (likely := get_close_matches(name.upper(), names, n=1, cutoff=LIKENESS))
    ]
