"""`python -m benchmarks [--quick | --full] [--output FOLDER] [SUITE …]`: measure, and write a report.

Each suite runs in a process of its own, with a Prefect home and a server of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.extent import EXTENTS
from benchmarks.plots import draw
from benchmarks.report import Report, Suite, describe_machine
from benchmarks.suite import MEASURES

OUTPUT = Path("build/bench")


def main() -> None:
    """Run the suites that were asked for, all of them by default."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure, and write a report.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help="in five minutes: small sizes, two runs")
    parser.add_argument("--full", action="store_true", help="in three hours: more sizes, crossed")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"for report.md, report.json, plots ({OUTPUT})")
    words = parser.parse_args()
    if unknown := set(words.suites) - set(MEASURES):
        parser.error(f"unknown suite {min(unknown)}; known: {', '.join(MEASURES)}")
    if words.quick and words.full:
        parser.error("--quick and --full exclude each other")
    extent = "quick" if words.quick else "full" if words.full else "standard"
    wanted = words.suites or [name for name in MEASURES if name not in EXTENTS[extent].left_out]
    report = Report(machine=describe_machine(), extent=extent, suites=())
    for name in wanted:
        report = report.model_copy(update={"suites": (*report.suites, _run(name, extent))})
        # Written after each suite, so that a run that is stopped keeps its results.
        report.write(words.output)
        print(report.suites[-1].to_markdown(), flush=True)
    plots = draw(report, words.output)
    print(f"{words.output}: report.md, report.json", *(path.name for path in plots), sep=", ")


def _run(name: str, extent: str) -> Suite:
    """Run a suite in a fresh process, without this process's heap and the user's Prefect settings."""
    started = time.monotonic()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with tempfile.TemporaryDirectory(prefix="helios-bench-", ignore_cleanup_errors=True) as home:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.suite", name, extent], stdout=subprocess.PIPE, check=False,
            env={**inherited, "PREFECT_HOME": home, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"},
        )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"The suite {name} failed with code {done.returncode}; what it said stands above")
    # The last line is the result; code that a suite calls may print lines before.
    suite = Suite.model_validate_json(done.stdout.splitlines()[-1])
    return suite.model_copy(update={"seconds": time.monotonic() - started})


if __name__ == "__main__":
    main()
