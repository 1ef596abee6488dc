"""The tables and lines that the bench prints."""

from collections.abc import Iterator, Sequence

from faults.outcome import Outcome
from faults.promises import DEATHS, SILENCES
from faults.scenario import Fault


def make_table(outcomes: Sequence[Outcome]) -> str:
    """A table by fault, as Markdown; a job with two faults counts for both."""
    lines = [
        "| fault | jobs | happened | launches | chunks run | wrong frames | orphans | avoidable renders | problems |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for fault in Fault:
        struck = [one for one in outcomes if any(strike.fault is fault for strike in one.scenario.strikes)]
        if struck:
            lines.append(_row(fault.value, struck, sum(one.fired[fault] for one in struck)))
    lines.append(_row("**all**", outcomes, sum(one.fired.total() for one in outcomes)))
    times = sorted(one.gone_seconds for one in outcomes if one.gone_seconds)
    lines += [_times("From a death until the last process was gone", times), *_promises(outcomes)]
    return "\n".join(line for line in lines if line)


def _promises(outcomes: Sequence[Outcome]) -> Iterator[str]:
    elsewhere = [one for outcome in outcomes for one in outcome.elsewhere]
    for who, faults in (("dead", DEATHS), ("silent", SILENCES)):
        seconds = sorted(seconds for fault, seconds in elsewhere if fault in faults)
        yield _times(f"Until a chunk of a {who} node began elsewhere", seconds)
    seconds = sorted(seconds for outcome in outcomes for seconds in outcome.cancel_seconds)
    yield _times("From a cancel until the last process on a node was gone", seconds)


def _times(what: str, seconds: Sequence[float]) -> str:
    """A line about sorted times; empty where there are none."""
    if not seconds:
        return ""
    middle, longest = seconds[len(seconds) // 2], seconds[-1]
    return f"\n{what}: median {middle:.2f} s, longest {longest:.2f} s, of {len(seconds)}."


def _row(name: str, outcomes: Sequence[Outcome], happened: int) -> str:
    numbers = [
        len(outcomes),
        happened,
        sum(one.launches for one in outcomes),
        sum(one.executions for one in outcomes),
        sum(one.wrong_frames for one in outcomes),
        sum(one.orphans for one in outcomes),
        sum(one.avoidable for one in outcomes),
        sum(bool(one.problems) for one in outcomes),
    ]
    return f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |"


def describe(outcome: Outcome) -> str:
    """One job in a few lines."""
    scenario = outcome.scenario
    faults = ", ".join(f"{strike.fault} ({outcome.fired[strike.fault]})" for strike in scenario.strikes)
    place = "on Lambda" if scenario.on_lambda else "on a farm" if scenario.on_farm else "here"
    state = "good" if outcome.is_good else f"{outcome.wrong_frames} wrong frames, {outcome.orphans} orphans"
    lines = [f"seed {scenario.seed}, {len(scenario.lengths)} chunks {place}, {outcome.launches} launches, "
             f"{outcome.duration_seconds:.1f} s: {faults}: {state}"]  # fmt: skip
    lines += [f"  {problem}" for problem in outcome.problems]
    if not outcome.is_good:
        lines.append(f"  again: make faults ARGS='{scenario.again}'")
    return "\n".join(lines)
