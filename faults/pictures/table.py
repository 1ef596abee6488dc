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
    """Markdown: for each kind, how many were caught by which level; then the good films."""
    lines = [
        "| kind | container | decode | pictures: failed | pictures: warned | caught of all | caught of steady films |",
        "|---|---|---|---|---|---|---|",
    ]
    for group, kinds in GROUPS.items():
        rows = [_row(kind, [case for case in cases if case.kind == kind]) for kind in kinds]
        if any(rows):
            lines += [f"| **{group}** | | | | | | |", *(row for row in rows if row)]
    good = [case for case in cases if not case.kind]
    failed, warned = (sum(case.caught is level for case in good) for level in (Caught.FAILED, Caught.WARNED))
    share = f" ({100 * warned / len(good):.1f} %)" if good else ""
    steady = sum(case.film.is_steady for case in good)
    lines += ["", f"{len(good)} good films, {steady} of them steady: {failed} failed, {warned} warned of{share}."]
    return "\n".join(lines)


def _row(kind: str, cases: Sequence[Case]) -> str:
    if not cases:
        return ""
    counts = [sum(case.caught is level for case in cases) for level in LEVELS]
    steady = [case for case in cases if case.film.is_steady]
    caught = sum(case.caught is not Caught.MISSED for case in steady)
    cells = [*(f"{count or ''}" for count in counts), f"{sum(counts)} of {len(cases)}", f"{caught} of {len(steady)}"]
    return f"| {kind}{' ✱' if KINDS[kind].is_certain else ''} | {' | '.join(cells)} |"


def describe(case: Case) -> str:
    """One case in a line."""
    film = case.film
    what = f"{case.kind} in chunk {case.position}" if case.kind else "good"
    outcome = "passed" if not case.kind and case.caught is Caught.MISSED else case.caught.value
    found = ", ".join(f"{finding.kind.value} at frame {finding.frame}" for finding in case.findings)
    return (
        f"film {film.seed} ({film.name}; {film.look.codec}, {film.look.fps} fps): {what}: {outcome}"
        f"{f' ({found})' if found else ''}"
    )
