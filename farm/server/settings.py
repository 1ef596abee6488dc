"""Settings of every Prefect server that this program starts.

With Prefect's own, a server on SQLite spends 17 ms of CPU on a task run, and writes 0.6 MB; in batches, 7 ms and 0.2 MB
(docs/performance.md has what each setting is worth).

`python -m farm.server.settings COMMAND …` runs a command, such as `prefect server start`, with them.
"""

import os
import sys
from collections.abc import Mapping

BATCHED_WRITES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    # Prefect cuts the seconds to whole ones: with less than 1 the server would never sleep.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
}
LEASES_IN_FILES = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
"""With leases in memory, a restarted server would forget the holders of slots, and never free these."""
LARGE_DOCUMENTS = {"PREFECT_SERVER_API_MAX_PARAMETER_SIZE": str(65 * 1024 * 1024)}
"""A job document as a run's parameter, of up to 64 MiB: Prefect's own limit is 512 KiB. What this program submits has
the path of a large document instead; this is for `prefect deployment run`, the UI, and calls of the flow."""
NO_TELEMETRY = {
    # The server's own reports, those of its UI in the browser, and those of Prefect's clients, which ask the server.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Those of Prefect's code in this process, which may report before it has asked.
    "DO_NOT_TRACK": "1",
}
"""Prefect reports to its makers by default."""
RECOMMENDED = {**BATCHED_WRITES, **LEASES_IN_FILES, **LARGE_DOCUMENTS, **NO_TELEMETRY}
"""Settings for every server that this program uses, also a server that a person starts."""
EMBEDDED = {
    **RECOMMENDED,
    "PREFECT__SERVER_FINAL": "1",  # the server does not start further processes of its own
}


def recommended(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with the recommended settings in it, unless it has others."""
    found = {**RECOMMENDED, **environment}
    if "PREFECT_UI_URL" not in found and (api := found.get("PREFECT_SERVER_UI_API_URL")):
        # Prefect makes the links in notifications of this alone.
        found["PREFECT_UI_URL"] = api.rstrip("/").removesuffix("/api")
    return found


def main() -> None:
    """Become a command, with the recommended settings, unless the environment has others."""
    if not sys.argv[1:]:
        sys.exit("Name a command, such as: python -m farm.server.settings prefect server start")
    try:
        os.execvpe(sys.argv[1], sys.argv[1:], recommended(os.environ))  # noqa: S606  no shell is wanted
    except OSError as exc:
        sys.exit(f"{sys.argv[1]} can't be run: {exc.strerror}")


if __name__ == "__main__":
    main()
