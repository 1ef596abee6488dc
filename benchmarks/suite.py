"""Measure one suite in this process: `python -m benchmarks.suite NAME EXTENT` prints its tables as JSON."""

import sys

from benchmarks import (
    cold_start,
    encode,
    growing,
    invocations,
    management,
    memory,
    overhead,
    own_farm,
    places,
    real_work,
    reuse,
    server_settings,
    start,
    stitch,
    stragglers,
    transfers,
)
from benchmarks.extent import EXTENTS
from benchmarks.report import Suite
from benchmarks.servers import has_postgresql

MEASURES = {
    "real-work": real_work.measure,
    "overhead": overhead.measure,
    "overhead-postgresql": overhead.measure_on_postgresql,
    "start": start.measure,
    "stitch": stitch.measure,
    "invocations": invocations.measure,
    "transfers": transfers.measure,
    "stragglers": stragglers.measure,
    "growing": growing.measure,
    "places": places.measure,
    "reuse": reuse.measure,
    "cold-start": cold_start.measure,
    "memory": memory.measure,
    "server-settings": server_settings.measure,
    "management": management.measure,
    "farm": own_farm.measure,
    "encode": encode.measure,
}


def main() -> None:
    """Measure the suite, and print its tables."""
    name, extent = sys.argv[1], EXTENTS[sys.argv[2]]
    if name == "overhead-postgresql" and not has_postgresql():
        suite = Suite(name=name, skipped="Not measured: Debian's package postgresql is not installed.")
    else:
        suite = Suite(name=name, tables=tuple(MEASURES[name](extent)))
    print(suite.model_dump_json())


if __name__ == "__main__":
    main()
