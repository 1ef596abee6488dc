"""Say in a line what Prefect's server answered, or why Prefect can't be used as it is set up.

For errors that no command expects.

Prefect and its HTTP client are not imported for this: without them, there is no such error.
"""

import os
import re
import sys
from typing import Any

from farm.server.answers import LONGEST, describe_answer

NO_HOME = "Could not determine home directory"
"""Begins Python's error where there is neither HOME nor an entry of the user's in the list of users."""
UNREACHED = "Failed to reach API"
"""Begins an error of Prefect's client, whose cause is its HTTP client's."""
SECRET = ("key", "auth", "pass", "secret", "connection", "url", "header")
"""A setting with one of these in its name may hold a secret."""


def explain(error: BaseException) -> str | None:
    """An error of Prefect's client, of its settings or of its folder, in a line; None for any other error."""
    if isinstance(error, RuntimeError) and str(error).startswith(NO_HOME):
        return "Prefect keeps its data in the home folder, and this user has none; set HOME to a folder of yours"
    if isinstance(error, RuntimeError) and str(error).startswith(UNREACHED):
        return explain(error.__cause__) if error.__cause__ is not None else str(error)
    if isinstance(error, OSError):
        return _explain_home(error)
    if type(error).__name__ == "ValidationError" and getattr(error, "title", "").endswith("Settings"):
        return _explain_setting(error)
    if type(error).__name__ == "TOMLDecodeError":
        return f"A file of Prefect's settings is no TOML ({error}); mend profiles.toml in PREFECT_HOME (~/.prefect)"
    if type(error).__name__ == "Abort":
        return str(error)  # Prefect's signal of a run that goes on in another process, which was resumed at once
    return _explain_answer(error)


def _explain_answer(error: BaseException) -> str | None:
    """An error of the HTTP client in a line."""
    httpx: Any = sys.modules.get("httpx")
    if httpx is None:
        return None
    if isinstance(error, httpx.HTTPStatusError):
        answer = error.response
        place = f"{error.request.method} {error.request.url.copy_with(query=None, userinfo=b'')}"
        detail = describe_answer(answer)
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


def _explain_setting(error: Any) -> str:
    """A setting of Prefect's with a wrong value, in a line: from the environment, or from a file of settings."""
    first = error.errors(include_url=False)[0]
    name = "_".join(map(str, first["loc"])).upper()
    if not name.startswith("PREFECT_"):
        # ServerEphemeralSettings: PREFECT_SERVER_EPHEMERAL_…
        section = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error.title.removesuffix("Settings")).upper()
        name = "_".join(["PREFECT", *([section] if section else []), name])
    value = "" if any(word in name.lower() for word in SECRET) else f"={first.get('input')}"
    return f"Prefect's setting {name}{value[:LONGEST]} is wrong: {first['msg']}"


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
