"""Be a node on a machine that has this package alone: python -m helios.own_farm JOIN-TOKEN [--slots N] [--tag TAG]."""

import argparse
import asyncio
import sys

from helios.errors import HeliosError
from helios.models.sandbox import SandboxKind
from helios.own_farm.join_token import find_token
from helios.own_farm.node import Node, node_settings


def main() -> None:
    """Carry out the command line."""
    words = _parse()
    try:
        settings = node_settings(
            slots=words.slots, tags=words.tag, name=words.name, host=words.host, port=words.port, gpus=words.gpus,
            memory=words.memory, hours=words.hours, drain_seconds=words.drain, idle_seconds=words.idle,
            sandbox=words.sandbox, chunks_per_gpu=words.chunks_per_gpu,
        )  # fmt: skip
        asyncio.run(Node(find_token(words.token), settings, say=_say).run())
    except HeliosError as exc:
        print(f"helios node: {exc}", file=sys.stderr)  # noqa: T201  its console
        sys.exit(2)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  its console


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helios.own_farm", description=__doc__)
    parser.add_argument(
        "token", metavar="JOIN-TOKEN", nargs="?", help="what farm start printed; $HELIOS_FARM if not given"
    )
    parser.add_argument("--slots", type=int, help="chunks at a time; the number of CPUs if not given")
    parser.add_argument("--tag", action="append", default=[], help="what this machine can do; may be repeated")
    parser.add_argument("--gpus", type=int, help="how many GPUs it has; found if not given")
    parser.add_argument("--chunks-per-gpu", type=int, help="chunks that may share a GPU; 1 if not given")
    parser.add_argument("--memory", metavar="SIZE", help="what chunks may require together; all of it if not given")
    parser.add_argument("--hours", metavar="HH:MM-HH:MM", help="when it takes chunks; always if not given")
    parser.add_argument("--name", help="its name on the farm; the host's if not given")
    parser.add_argument("--host", help="the address by which the others reach this machine")
    parser.add_argument("--port", type=int, help="where it listens; any free port if not given")
    parser.add_argument("--drain", type=float, default=600.0, help="seconds for which chunks may go on after SIGTERM")
    parser.add_argument("--idle", type=float, help="end after so many seconds with nothing to do; never if not given")
    parser.add_argument("--sandbox", choices=list(SandboxKind), help="what every command runs in; none if not given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
