"""Secrets among a run's parameters, which Prefect shows masked and so does not keep."""

import json
from collections.abc import Mapping
from typing import Any

from helios.errors import RequestError

_MASKED = "********"
"""How a secret is shown among a run's parameters."""


def holds_secrets(choices: object) -> bool:
    """Whether an adapter's settings have secrets, or had some before Prefect masked them."""
    return _MASKED in json.dumps(choices, default=str)


def refuse_secrets(choices: object) -> None:
    """Refuse settings with secrets that would have to go through Prefect.

    Raises:
        RequestError: The settings have secrets; says what to do.
    """
    if holds_secrets(choices):
        raise RequestError(
            "The adapter's settings hold secrets, which Prefect does not keep; save them as a block, and name it "
            "(--adapter aws-lambda/NAME), or let the worker's machine have them"
        )


def complete_parameters(saved: Mapping[str, Any], *, adapter: object = None) -> dict[str, Any]:
    """The parameters with which a run goes on.

    Args:
        saved: The run's, as Prefect has them.
        adapter: Takes the place of the saved adapter, if it is given.

    Raises:
        RequestError: The saved adapter had secrets, and none is given in its place.
    """
    if isinstance(options := saved.get("options"), Mapping) and "template" in saved:  # a batch's, for each of its rows
        return {**saved, "options": complete_parameters(options, adapter=adapter)}
    if adapter is not None:
        return {**saved, "adapter": adapter}
    if holds_secrets(saved.get("adapter", "local")):
        raise RequestError(
            "The run's adapter settings hold secrets, which Prefect does not keep; give the settings again "
            "(--adapter-config), or save them as a block"
        )
    return dict(saved)
