"""The Prefect server that lives as long as one command, as seen from the processes of that command.

Such a server has a credential that is made anew at each start, so that once its process is gone, nobody will answer in
its place: there is nothing to wait for.
"""

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from helios.processes.identity import process_start

VARIABLE = "HELIOS_OWN_SERVER"
"""Set in a process that uses such a server, and in its children: the server's process id, and when it began."""
LOOK_SECONDS = 1.0
LEAVE_SECONDS = 8.0
"""How long a flow's process may take to end its commands once its server is gone. The guardian ends what is left."""
GONE = "The Prefect server of this run, which ends with the command that started it, is gone"


@contextmanager
def own_server(pid: int) -> Iterator[None]:
    """Within the block, this process and those that it starts know their server."""
    os.environ[VARIABLE] = f"{pid} {process_start(pid)}"
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)


def is_gone() -> bool:
    """Whether this process has such a server, and the server's process is no more."""
    pid, _, started = os.environ.get(VARIABLE, "").partition(" ")
    return pid.isdigit() and process_start(int(pid)) != started


async def until_gone() -> None:
    """Wait until `is_gone`; for ever in a process without such a server."""
    while not is_gone():  # noqa: ASYNC110  no event tells of a process that is not this one's child
        await asyncio.sleep(LOOK_SECONDS)


def end_with_server() -> None:
    """From now on, let this process, which is a flow's alone, end when its server is gone.

    It is asked to end in order. Prefect's engine would then try for minutes to tell the server.
    """
    pid = os.environ.get(VARIABLE, "").partition(" ")[0]
    if pid and hasattr(os, "pidfd_open"):
        threading.Thread(target=_end_after, args=[int(pid)], name="own-server", daemon=True).start()


def leave_if_gone() -> None:
    """At a flow's end: end this process if it can't tell its server, and was to end with it."""
    if is_gone() and any(thread.name == "own-server" for thread in threading.enumerate()):
        os._exit(1)


def _end_after(pid: int) -> None:
    try:
        watched = os.pidfd_open(pid)
    except OSError:
        pass  # it is gone already
    else:
        while not is_gone():
            select.select([watched], [], [])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LEAVE_SECONDS)
    os._exit(1)
