"""Run the fault bench: `python -m faults [--jobs N] [--seed N] [--first N] [--only FAULT] [--at-once N]`.

`--adapter farm` runs them on own farms of three nodes, and strikes these too (half an hour for 100 jobs).
`--chunks N` gives every job this many chunks; `--share` runs one job for each fault, as `make test-slow` does.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from faults.carry_out import carry_out
from faults.farm import a_farm, possible_faults
from faults.outcome import Outcome
from faults.scenario import OF_A_FARM, ON_A_FARM, Fault, Scenario, draw
from faults.table import describe, make_table
from faults.trial import Trial, log_of

SHARE_PATIENCE = 4.0


async def run_all(
    scenarios: Sequence[Scenario], outcomes: list[Outcome], *, at_once: int, verbose: bool = False,
    patience: float = 1.0,
) -> None:  # fmt: skip
    """Carry out every job, several at a time, and add its outcome; print the problems of a job at once."""
    pending = iter(scenarios)
    started = time.monotonic()
    with_farms = at_once if any(scenario.on_farm for scenario in scenarios) else 0
    async with a_farm(with_cloud=any(scenario.on_lambda for scenario in scenarios), own_farms=with_farms) as farm:

        async def pull() -> None:
            for scenario in pending:
                async with AsyncExitStack() as stack:
                    own = await stack.enter_async_context(farm.lanes.lane()) if farm.lanes else None
                    await stack.enter_async_context(farm.alone(scenario))
                    outcome = await carry_out(Trial(scenario, farm, patience=patience, own_farm=own))
                outcomes.append(outcome)
                if not outcome.is_good or verbose:
                    print(describe(outcome), flush=True)
                    if not outcome.is_good:
                        print(log_of(outcome, farm), flush=True)
                elif len(outcomes) % 50 == 0:
                    minutes = (time.monotonic() - started) / 60
                    print(f"{len(outcomes)} of {len(scenarios)} jobs, {minutes:.1f} min", flush=True)

        await asyncio.gather(*(pull() for _ in range(at_once)))


def main() -> int:
    """Run the bench, and print its table."""
    parser = argparse.ArgumentParser(prog="python -m faults")
    parser.add_argument("--jobs", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone: what a failing job says, to see it again")
    parser.add_argument("--only", choices=[fault.name for fault in Fault], help="this fault alone")
    parser.add_argument("--at-once", type=int, default=6, help="jobs at a time")
    parser.add_argument("--chunks", type=int, help="of each job")
    parser.add_argument("--adapter", choices=["farm"], help="every job on an own farm of three nodes")
    parser.add_argument("--patience", type=float, help="a factor of time limits, for a machine under other load")
    parser.add_argument("--share", action="store_true", help="one job for each fault")
    words = parser.parse_args()
    only = Fault[words.only] if words.only else None
    on_farm, wanted = words.adapter == "farm", frozenset(Fault) - frozenset(OF_A_FARM)
    wanted = frozenset(ON_A_FARM) if on_farm else wanted
    possible = possible_faults(on_farm=on_farm) & wanted
    for fault in sorted(wanted - possible):
        print(f"Not possible here: {fault}")
    seeds = [words.seed] if words.seed is not None else range(words.first, words.first + words.jobs)
    scenarios = [draw(seed, only=only, possible=possible, chunks=words.chunks, on_farm=on_farm) for seed in seeds]
    if words.share:
        scenarios = [draw(seed, only=fault, chunks=8, on_farm=on_farm) for seed, fault in enumerate(sorted(possible))]
    # The share runs beside other tests, whose load makes strict time limits meaningless.
    patience = words.patience or (SHARE_PATIENCE if words.share else 1.0)
    outcomes: list[Outcome] = []
    # A shell starts a background job with SIGINT ignored; a bench that is stopped shows what it has seen.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        verbose = len(scenarios) < 30
        asyncio.run(run_all(scenarios, outcomes, at_once=words.at_once, verbose=verbose, patience=patience))
    print(make_table(outcomes))
    # A fault that did not happen proves nothing.
    missed = sum(not outcome.fired for outcome in outcomes) if words.share else 0
    return 0 if all(outcome.is_good for outcome in outcomes) and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
