"""A Prefect server that lives as long as the command that started it: `python -m farm.server.embedded SOCKET`.

It is Prefect's own server and UI, in a session of its own, so that Ctrl-C in a terminal does not end it
before the run's last states are written. Its standard input is a pipe from the command: when that
closes, however the command ended, the server ends.

SOCKET is the number of a file descriptor that it inherits: a socket that is bound to its port of 127.0.0.1.

Its environment has the credential that clients must show (PREFECT_SERVER_API_AUTH_STRING); it does not start without.
"""

import importlib
import os
import signal
import socket
import sys
import threading

import uvicorn

from farm.server.middleware import LoopbackMiddleware
from farm.server.sqlite_cursors import close_failed_cursors
from helios.garbage import calm_collector, spare_loading
from helios.processes.own_memory import hide_memory
from helios.processes.parent import wait_until_parent_ends

APP = "prefect.server.api.server"
AUTH = "PREFECT_SERVER_API_AUTH_STRING"


def _end_with_parent() -> None:
    wait_until_parent_ends()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve at the socket until standard input closes."""
    hide_memory()
    os.umask(0o077)  # what Prefect keeps, such as its database, is for no other user of the machine
    auth = os.environ.get(AUTH)
    if not auth:
        sys.exit(f"A server without a credential is open to every program of this machine: set {AUTH} to user:password")
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.set_inheritable(False)
    port = listener.getsockname()[1]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    spare_loading()
    close_failed_cursors()
    prefect = importlib.import_module(APP)
    calm_collector()  # saves a seventh of the server's CPU while chunks end
    config = uvicorn.Config(
        lambda: LoopbackMiddleware(prefect.create_app(), port=port, auth=auth),
        factory=True,
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
