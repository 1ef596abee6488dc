"""Load the libraries of Open Job Description, which are an extra."""

import importlib
from functools import cache
from types import ModuleType
from typing import NamedTuple

from helios.errors import RequestError

EXTENSIONS = ("TASK_CHUNKING", "REDACTED_ENV_VARS", "FEATURE_BUNDLE_1", "EXPR", "WRAP_ACTIONS")
"""Extensions of the specification that templates may ask for."""


class Libraries(NamedTuple):
    """The two libraries."""

    model: ModuleType
    """`openjd.model`: reads templates."""
    sessions: ModuleType
    """`openjd.sessions`: runs their tasks."""


@cache
def libraries() -> Libraries:
    """Load both.

    Raises:
        RequestError: They are not installed.
    """
    try:
        return Libraries(importlib.import_module("openjd.model"), importlib.import_module("openjd.sessions"))
    except ImportError as exc:
        raise RequestError(
            f"Templates of Open Job Description need openjd-model and openjd-sessions ({exc}); install "
            "'helios-render[openjd]' here and on the workers"
        ) from None
