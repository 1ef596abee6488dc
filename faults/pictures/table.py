"""The table and the lines that the bench prints."""

from collections.abc import Sequence

from faults.pictures.trial import Case, Caught
from testbed.films.kinds import FILES, FRAMES, KINDS, ORDER, PARTS, SOUND

GROUPS = {
    "Files": FILES,
    "Frames in the wrong place": ORDER,
    "Wrong frames": FRAMES,
    "Wrong parts of frames": PARTS,
    "Sound": SOUND,
}
LEVELS = (Caught.CONTAINER, Caught.DECODE, Caught.FAILED, Caught.WARNED)


def make_table(cases: Sequence[Case]) -> str:
    """Markdown: for each kind, how many were drawn, show, and were caught by which level; then the good films."""
    lines = [
        "| kind | drawn | show | container | decode | pictures: failed | pictures: warned | caught | audit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    bad = [case for case in cases if case.kind]
    for group, kinds in GROUPS.items():
        rows = [_row(_name(kind), [case for case in bad if case.kind == kind]) for kind in kinds]
        if any(rows):
            lines += [f"| **{group}** | | | | | | | | |", *(row for row in rows if row)]
    certain = [case for case in bad if KINDS[case.kind].is_certain]
    lines += [_row("**all ✱**", certain), _row("**all others**", [case for case in bad if case not in certain])]
    good = [case for case in cases if not case.kind]
    failed, warned = (sum(case.caught is level for case in good) for level in (Caught.FAILED, Caught.WARNED))
    share = f" ({100 * warned / len(good):.1f} %)" if good else ""
    return "\n".join([*filter(None, lines), "", f"{len(good)} good films: {failed} failed, {warned} warned of{share}."])


def _name(kind: str) -> str:
    return f"{kind}{' ✱' if KINDS[kind].is_certain else ''}"


def _row(name: str, cases: Sequence[Case]) -> str:
    if not cases:
        return ""
    shown = [case for case in cases if case.does_show]
    caught = sum(case.caught is not Caught.MISSED for case in shown)
    cells = [
        f"{len(cases)}",
        f"{len(shown)}",
        *(f"{sum(case.caught is level for case in shown) or ''}" for level in LEVELS),
        f"{100 * caught / len(shown):.0f} %" if shown else "",
        f"{sum(case.is_audited for case in cases)}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def describe(case: Case) -> str:
    """One case in a line."""
    film = case.film
    what = (
        f"{case.kind} in chunk {case.position}{'' if case.does_show else ' (does not show)'}" if case.kind else "good"
    )
    outcome = "passed" if not case.kind and case.caught is Caught.MISSED else case.caught.value
    found = ", ".join(f"{finding.kind.value} at frame {finding.frame}" for finding in case.findings)
    return (
        f"film {film.seed} ({film.name}; {film.look.codec}, {film.look.fps} fps): {what}: {outcome}"
        f"{f' ({found})' if found else ''}"
    )
