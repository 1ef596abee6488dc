"""Whether a Prefect server is of a version that this program can work with. Does not import Prefect.

A server knows the requests of all earlier clients, and none of later ones: one that is older than the client in its
first two numbers is refused, since a job on it renders, and then waits in vain for what the server does not record. A
newer one is accepted with a warning. The third number makes no difference.
"""

import re


def numbers(version: str) -> tuple[int, int] | None:
    """The first two numbers of a version; None for a text that is none."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def misfit(server: str, client: str) -> str | None:
    """Why a server of a version can't be used by a client of a version; None if it can."""
    there, here = numbers(server), numbers(client)
    if there is None or here is None or (there[0] == here[0] and there >= here):
        return None
    return (
        f"is Prefect {server}, and this is Prefect {client}: a server must have the same first number, and not be older"
    )


def advice(server: str, client: str) -> str | None:
    """What to say of a server that can be used, but was not tried with this client; None if there is nothing to say."""
    there, here = numbers(server), numbers(client)
    if there is None or here is None or there <= here:
        return None
    return f"is Prefect {server}, which is newer than this Prefect {client}: it may behave differently"
