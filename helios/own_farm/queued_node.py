"""A node that a cluster's queue starts as a job, with the options that dask-jobqueue gives to a worker.

    python -m helios.own_farm.queued_node TOKEN-FILE --name NAME --nthreads N --idle S …

The join token is in a file that its user alone can read, so that neither the queue nor a list of processes shows it.
The flow that asked for the node finds it by its NAME, which is one of the node's tags.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from helios.errors import HeliosError, RequestError
from helios.models.sandbox import SandboxKind
from helios.own_farm.join_token import JoinToken, parse_token
from helios.own_farm.node import Node, node_settings


def main() -> None:
    """Carry out the command line."""
    words = _parse()
    try:
        settings = node_settings(
            slots=words.nthreads, tags=[words.name, *words.tag], name=None, host=words.host, port=None,
            memory=words.memory, drain_seconds=words.drain, idle_seconds=words.idle,
            sandbox=words.sandbox,
        )  # fmt: skip
        asyncio.run(Node(_kept(words.token_file), settings, say=_say).run())
    except HeliosError as exc:
        print(f"helios node: {exc}", file=sys.stderr)  # noqa: T201  the job's log
        sys.exit(2)


def _kept(path: Path) -> JoinToken:
    try:
        return parse_token(path.read_text())
    except FileNotFoundError:
        raise RequestError(
            f"{path} is not here: the flow that asked for this node has ended, or this machine does not see its folder "
            "(folder in the cluster's settings names one that it sees)"
        ) from None
    except OSError as exc:
        raise RequestError(f"{path} can't be read ({exc.strerror})") from None


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  the job's log


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helios.own_farm.queued_node", description=__doc__)
    parser.add_argument("token_file", metavar="TOKEN-FILE", type=Path)
    parser.add_argument("--name", required=True, help="what the flow calls the job")
    parser.add_argument("--nthreads", type=int, help="chunks at a time")
    parser.add_argument("--tag", action="append", default=[], help="what the node can do; may be repeated")
    parser.add_argument("--memory", help="what chunks may require together")
    parser.add_argument("--host", help="the address by which the others reach this machine")
    parser.add_argument("--drain", type=float, default=20.0, help="seconds for which chunks may go on after SIGTERM")
    parser.add_argument("--idle", type=float, default=60.0, help="end after so many seconds with nothing to do")
    parser.add_argument("--sandbox", choices=list(SandboxKind), help="what every command runs in; none if not given")
    # A queue bounds memory itself, and --idle ends a node that finds no farm.
    parser.add_argument("--memory-limit", help="not used")
    parser.add_argument("--death-timeout", help="not used")
    return parser.parse_args()


if __name__ == "__main__":
    main()
