"""Plots of the simulated policy: each world's wall time over the bound, in every order."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks.policy_cell import Cell

mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "helios", "font.family": "sans-serif", "font.size": 9})
COLOURS = ("#8a8a8a", "#d08a1f", "#2a6fbb", "#5f9e6e")
SHOWN = (1000, 100)
"""The size in the plot, where it was simulated."""


def draw_policy(cells: Sequence[Cell], folder: Path) -> list[Path]:
    """Draw a bar for each world and order, with a whisker to the worst draw; return the files."""
    sizes = {(cell.chunks, cell.slots) for cell in cells}
    chunks, slots = SHOWN if SHOWN in sizes else min(sizes)
    own = [cell for cell in cells if (cell.chunks, cell.slots) == (chunks, slots)]
    orders, worlds = (list(dict.fromkeys(getattr(cell, name) for cell in own)) for name in ("order", "world"))
    canvas = Canvas(figsize=(8, 0.75 * len(worlds) + 1.2), layout="constrained")
    axes = canvas.add_subplot()
    for number, (order, colour) in enumerate(zip(orders, COLOURS, strict=True)):
        ratios = [cell.ratios for cell in own if cell.order == order]
        middles = [statistics.median(one) for one in ratios]
        worst = [one[-1] - middle for one, middle in zip(ratios, middles, strict=True)]
        places = [place + 0.2 * number for place in range(len(worlds))]
        axes.barh(places, middles, height=0.18, color=colour, label=order, xerr=[[0.0] * len(worst), worst],
                  error_kw={"lw": 0.8})  # fmt: skip
    axes.axvline(1, color="black", lw=0.8)
    axes.set_yticks([place + 0.3 for place in range(len(worlds))], worlds)
    axes.invert_yaxis()
    axes.set_xlabel("times the bound, less is better; the whisker ends at the worst draw")
    axes.set_title(f"{chunks:,} chunks on {slots:,} slots")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8)
    path = folder / "scheduling-policy.svg"
    canvas.savefig(path, metadata={"Date": None}, facecolor="white")
    return [path]
