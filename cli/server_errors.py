"""Say in a line what Prefect's server answered, or why its folder can't be used, where a command did not expect it."""

import os
import sys
from typing import Any

LONGEST = 300
"""Characters of an answer that are shown."""


def explain(error: BaseException) -> str | None:
    """An error of Prefect's client, or of its folder, in a line; None for any other error.

    Prefect and its HTTP client are not imported for this: without them, there is no such error.
    """
    if isinstance(error, OSError):
        return _explain_home(error)
    httpx: Any = sys.modules.get("httpx")
    if httpx is None:
        return None
    if isinstance(error, httpx.HTTPStatusError):
        answer = error.response
        place = f"{error.request.method} {error.request.url.copy_with(query=None, userinfo=b'')}"
        detail = _detail(answer)
        advice = ""
        if "parameters must be less than" in detail:
            advice = "; save a large job document in a file, and give the file's path"
        elif answer.status_code == httpx.codes.NOT_FOUND:
            advice = "; does PREFECT_API_URL end in /api, and is the server of this Prefect's version?"
        elif answer.status_code >= 500:
            advice = "; its log says why"
        return f"Prefect's server answered {answer.status_code} to {place}: {detail}{advice}"
    if isinstance(error, httpx.TransportError):
        return f"Prefect's server does not answer ({str(error) or type(error).__name__}); is it up? (PREFECT_API_URL)"
    return None


def _explain_home(error: OSError) -> str | None:
    """An error in the folder of Prefect's data, in a line; None if it is another folder's."""
    home = os.environ.get("PREFECT_HOME") or os.path.expanduser("~/.prefect")
    place = os.fspath(error.filename) if isinstance(error.filename, str) else None
    if place is None or not (f"{place}/".startswith(f"{home}/") or f"{home}/".startswith(f"{place}/")):
        return None
    return (
        f"Prefect keeps its data in {home}, and {place} can't be used ({error.strerror}); mend its rights, or set "
        "PREFECT_HOME to a folder that you can write to"
    )


def _detail(answer: Any) -> str:
    """What an answer says, in a line."""
    try:
        found = answer.json()
    except ValueError:
        found = answer.text
    if isinstance(found, dict):
        found = found.get("exception_detail") or found.get("detail") or found
    if isinstance(found, list):
        found = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in found)
    text = " ".join(str(found).split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
