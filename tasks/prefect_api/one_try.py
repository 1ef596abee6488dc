"""Ask Prefect's API once, in loops whose next round, a moment later, is the retry."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, Settings

_is_once = ContextVar("_is_once", default=False)
_before: Settings | None = None
_once: Settings | None = None


@contextmanager
def one_try() -> Iterator[None]:
    """Within the block, Prefect's client does not try again by itself.

    The client must have been made with `FOR_ONE_TRY`. Prefect's `temporary_settings` reads and validates all settings:
    20 ms of CPU a call, in which the event loop stands still. Here that is done once for the settings in force.
    """
    global _before, _once
    context = get_settings_context()
    if _once is None or _before is not context.settings:
        _before, _once = context.settings, context.settings.copy_with_update({PREFECT_CLIENT_MAX_RETRIES: 0})
    token = _is_once.set(True)
    try:
        with SettingsContext(profile=context.profile, settings=_once):
            yield
    finally:
        _is_once.reset(token)


async def _raise_when_busy(response: httpx.Response) -> None:
    if _is_once.get() and response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        await response.aread()  # callers read what it says
        raise httpx.HTTPStatusError("Prefect's server is busy", request=response.request, response=response)


FOR_ONE_TRY: dict[str, Any] = {"event_hooks": {"response": [_raise_when_busy]}}
"""Settings of a client for `one_try`. A server on SQLite answers 503 to a write whenever another write came between;
Prefect's client would then wait for two seconds, also after its last try, before it raises."""
