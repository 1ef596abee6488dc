"""`python -m benchmarks.policy`: the policy of a run in virtual time, against document order and the bound.

Each world is drawn several times, and each draw is scheduled in every order by the functions of `tasks.schedule`, the
same that a live run calls. No schedule of the first attempts alone takes less than the bound: all work over all slots,
or the longest chunk as it would be on a worker that is not slow.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cutting import cutting_table
from benchmarks.policy_cell import Cell
from benchmarks.policy_plots import draw_policy
from benchmarks.policy_worlds import HOST_SLOTS, WORLDS, Maker, World, recorded
from benchmarks.virtual_time import Order, Outcome, Simulation

OUTPUT = Path("build/policy")
HEDGE = 0.05
SIZES = {(100, 2): 12, (100, 8): 12, (100, 100): 12, (1000, 8): 4, (1000, 100): 4, (1000, 1000): 4,
         (10_000, 100): 1, (10_000, 1000): 1}  # fmt: skip
"""How often each number of chunks on each number of slots is drawn."""
QUICK = {(100, 8): 8, (1000, 100): 2}
FRAMES = 30
"""Of each chunk: what tells them apart is what earlier runs told."""
ORDERS = ("document", "longest first", "hedged", "both")
MARK, CUTTING_MARK = "policy", "cutting"


def main() -> None:
    """Simulate, and write tables and plots."""
    parser = argparse.ArgumentParser(prog="benchmarks.policy", description="Simulate the policy in virtual time.")
    parser.add_argument("--quick", action="store_true", help="two sizes, few draws")
    parser.add_argument("--report", type=Path, action="append", default=[], metavar="FILE",
                        help="also replay a job: what helios-job run --json printed; repeatable")  # fmt: skip
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"for policy.md and plots ({OUTPUT})")
    parser.add_argument("--document", type=Path, help="put the tables into this document, and the plots beside it")
    parser.add_argument("--only-cutting", action="store_true", help="simulate how jobs are cut, and nothing else")
    words = parser.parse_args()
    if words.only_cutting:
        _tell_cutting(words.document, quick=words.quick)
        return
    makers = [*WORLDS, *(recorded(path.stem, measured_seconds(path)) for path in words.report)]
    cells = simulate(makers, QUICK if words.quick else SIZES)
    words.output.mkdir(parents=True, exist_ok=True)
    text = to_markdown(cells)
    (words.output / "policy.md").write_text(text, encoding="utf-8")
    plots = draw_policy(cells, words.output)
    if words.document is not None:
        fill(words.document, text, mark=MARK)
        for plot in plots:
            plot.replace(words.document.parent / "images" / plot.name)
    print(text)
    _tell_cutting(words.document, quick=words.quick)


def _tell_cutting(document: Path | None, *, quick: bool) -> None:
    """Print the table of jobs that are cut while they are rendered, and put it into a document."""
    text = cutting_table(quick=quick)
    if document is not None:
        fill(document, text, mark=CUTTING_MARK)
    print(text)


def measured_seconds(path: Path) -> list[float]:
    """How long a worker had each chunk of a job, by its report.

    Args:
        path: What `helios-job run --json` printed.
    """
    chunks = json.loads(path.read_text(encoding="utf-8"))["chunks"]
    attempts = [one for chunk in chunks for one in chunk["timeline"] if one["outcome"] == "completed"]
    return [one["ended"] - one["started"] for one in attempts]


def simulate(makers: Sequence[Maker], sizes: Mapping[tuple[int, int], int]) -> list[Cell]:
    """Schedule every world of every size, drawn as often as the size says, in every order."""
    cells = []
    for make in makers:
        for (chunks, slots), draws in sizes.items():
            runs: dict[str, list[Outcome]] = {order: [] for order in ORDERS}
            bounds = []
            for seed in range(draws):
                for order in ORDERS:
                    world = make(chunks, slots, seed)  # anew: workers that were started cold are warm
                    runs[order].append(run(world, chunks, slots, order))
                bounds.append(max(world.work / slots, world.longest))
            cells += [Cell(world.name, chunks, slots, order, tuple(bounds), tuple(runs[order])) for order in ORDERS]
    return cells


def run(world: World, chunks: int, slots: int, order: str) -> Outcome:
    """Schedule one draw."""
    earlier = world.earlier if order in ("longest first", "both") else {}
    hedge = HEDGE if order in ("hedged", "both") else 0.0
    frames = [FRAMES] * chunks
    return Simulation(frames, slots=slots, draw=world.draw, order=Order(order, earlier, hedge), hosts=HOST_SLOTS).run()


def to_markdown(cells: Sequence[Cell]) -> str:
    """A table for each world."""
    parts = []
    for name in dict.fromkeys(cell.world for cell in cells):
        own = [cell for cell in cells if cell.world == name]
        lines = [
            f"**{name}**",
            "",
            f"| chunks on slots | {' | '.join(ORDERS)} | second attempts (won) of hedged | more work | p99/median |",
            f"|---|{'---|' * (len(ORDERS) + 3)}",
        ]
        lines += [_line(own[start : start + len(ORDERS)]) for start in range(0, len(own), len(ORDERS))]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, _decisions(cells), ""])


def _line(cells: Sequence[Cell]) -> str:
    plain, hedged = cells[0], cells[ORDERS.index("hedged")]
    ratios = [f"{statistics.median(cell.ratios):.2f} ({cell.ratios[-1]:.2f})" for cell in cells]
    attempts = sum(outcome.hedges for outcome in hedged.outcomes)
    won = sum(outcome.won for outcome in hedged.outcomes)
    draws = len(hedged.outcomes)
    size = f"{plain.chunks:,} on {plain.slots:,}"
    more = hedged.work / plain.work - 1
    return (
        f"| {size} | {' | '.join(ratios)} | {attempts / draws:.1f} ({won / draws:.1f}) | {more:+.1%} | "
        f"{hedged.spread:.2f} |"
    )


def _decisions(cells: Sequence[Cell]) -> str:
    """What the policy's answers cost."""
    lines = ["**CPU of a decision**, in µs", "", "| chunks on slots | document | both |", "|---|---|---|"]
    for chunks, slots in dict.fromkeys((cell.chunks, cell.slots) for cell in cells):
        costs = []
        for order in ("document", "both"):
            own = [cell for cell in cells if (cell.chunks, cell.slots, cell.order) == (chunks, slots, order)]
            outcomes = [outcome for cell in own for outcome in cell.outcomes]
            costs.append(sum(one.cpu for one in outcomes) / sum(one.decisions for one in outcomes) * 1e6)
        lines.append(f"| {chunks:,} on {slots:,} | {costs[0]:.1f} | {costs[1]:.1f} |")
    return "\n".join(lines)


def fill(document: Path, text: str, *, mark: str) -> None:
    """Put a text into a document, between two comments that name the mark."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- /{mark} -->")
    document.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
