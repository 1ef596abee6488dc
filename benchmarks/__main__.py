"""`python -m benchmarks [--runs N] [SUITE …]`: measure, and print a report in Markdown."""

import argparse
import asyncio
import os
import platform

os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")

from prefect.settings import PREFECT_API_URL

from benchmarks import cold_start, invocations, management, memory, overhead, real_work, stitch, transfers
from cli.server import prefect_server

SUITES = ("stitch", "overhead", "memory", "real-work", "invocations", "transfers", "cold-start", "management")


def main() -> None:
    """Run the suites that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--runs", type=int, default=5, help="of each contestant, interleaved (default 5)")
    words = parser.parse_args()
    if unknown := set(words.suites) - set(SUITES):
        parser.error(f"unknown suite {min(unknown)}; known: {', '.join(SUITES)}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.system()}\n", flush=True)
    with prefect_server():
        # For the processes that a suite starts.
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        for suite in words.suites or SUITES:
            print(_measure(suite, runs=words.runs), flush=True)


def _measure(suite: str, *, runs: int) -> str:
    match suite:
        case "stitch":
            return asyncio.run(stitch.measure(runs=runs))
        case "overhead":
            return asyncio.run(overhead.measure(runs=runs))
        case "invocations":
            return asyncio.run(invocations.measure(runs=runs))
        case "transfers":
            return asyncio.run(transfers.measure(runs=runs))
        case "cold-start":
            return asyncio.run(cold_start.measure(runs=runs))
        case "management":
            return management.measure()
        case "memory":
            return asyncio.run(memory.measure())
        case _:
            return asyncio.run(real_work.measure(runs=runs))


if __name__ == "__main__":
    main()
