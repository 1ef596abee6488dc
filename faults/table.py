"""The tables and lines that the bench prints."""

from collections.abc import Sequence

from faults.outcome import Outcome
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
    if times:
        lines += ["", f"From a death until the last process was gone: median {times[len(times) // 2]:.2f} s, "
                  f"longest {times[-1]:.2f} s."]  # fmt: skip
    return "\n".join(lines)


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
