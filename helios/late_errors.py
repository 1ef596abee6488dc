"""Errors of work whose caller has gone."""

import asyncio
from typing import Any


def ignore_late_error(work: "asyncio.Future[Any]") -> None:
    """Look at an error that is nobody's matter any more; asyncio prints every error that nobody has looked at.

    Args:
        work: A future or task that is done.
    """
    if not work.cancelled():
        work.exception()
