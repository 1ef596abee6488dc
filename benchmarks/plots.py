"""The report's plots, as SVG: what a chunk costs by the size of the job, and ratios to each table's reference."""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.extent import SMALLER
from benchmarks.measure import WALL, Table
from benchmarks.report import Report

# Text stays text, and the same report gives the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "helios", "font.family": "sans-serif", "font.size": 9})
COLOURS = ("#2a6fbb", "#8a8a8a", "#d08a1f", "#5f9e6e")
BARS = ("#8ab8e6", "#d4d4d4")
"""Colours of this project's bars and of the others, light enough for text on them."""
RATIOS = {"real-work": "Real encodes", "stitch": "Stitching", "stragglers": "One chunk in twenty ten times as long"}
OVERHEAD = {"overhead": "SQLite", "overhead-postgresql": "PostgreSQL"}


def draw(report: Report, folder: Path) -> list[Path]:
    """Draw the plots of a report; return the files."""
    plots = []
    for suite in report.suites:
        if suite.name in RATIOS and suite.tables:
            plots.append(_save(_ratios(suite.tables, RATIOS[suite.name]), folder / f"{suite.name}.svg"))
        if suite.name in OVERHEAD and suite.tables:
            title = f"What a chunk costs, on {OVERHEAD[suite.name]}"
            plots.append(_save(_per_chunk(suite.tables, title), folder / f"{suite.name}.svg"))
    return plots


def _save(canvas: Canvas, path: Path) -> Path:
    canvas.savefig(path, metadata={"Date": None}, facecolor="white")
    return path


def _ratios(tables: tuple[Table, ...], title: str) -> Canvas:
    """A bar for each figure, as long as its ratio; a whisker from its lowest to its highest."""
    height = sum(len(table.figures) + 1.2 for table in tables) * 0.24 + 0.8
    canvas = Canvas(figsize=(8, height), layout="constrained")
    axes = canvas.add_subplot()
    for row, table, number in _rows(tables):
        if number is None:
            axes.text(0, row, table.title, va="center", fontweight="bold")
            continue
        figure = table.figures[number]
        ratio, ratios = table.ratio(figure) or 1.0, table.ratios(figure) or (1.0,)
        colour = BARS[min(number, 1)]
        axes.barh(
            row, ratio, color=colour, height=0.7, xerr=[[ratio - ratios[0]], [ratios[-1] - ratio]], error_kw={"lw": 0.8}
        )
        axes.text(0.01, row, f"{figure.name}: {ratio:.2f} ({figure.median(table.ratio_of):.2f} s)", va="center",
                  fontsize=8)  # fmt: skip
    axes.axvline(1, color="black", lw=0.8)
    axes.set_ylim(row + 0.8, -0.9)
    axes.set_yticks([])
    axes.set_xlabel("times the reference, less is better")
    axes.set_title(title)
    _plain(axes)
    return canvas


def _rows(tables: tuple[Table, ...]) -> Iterator[tuple[float, Table, int | None]]:
    row = 0.0
    for table in tables:
        yield row, table, None
        for number in range(len(table.figures)):
            row += 1
            yield row, table, number
        row += 1.2


def _per_chunk(tables: tuple[Table, ...], title: str) -> Canvas:
    """A line for each contestant: elapsed time and CPU a chunk, over the number of chunks, ten at a time."""
    canvas = Canvas(figsize=(8, 3.4), layout="constrained")
    measures = {
        WALL: "elapsed",
        "flow_cpu_seconds": "CPU of the flow's process",
        "server_cpu_seconds": "CPU of the server",
    }
    panels = canvas.subplots(1, len(measures), sharey=True)
    names = list(dict.fromkeys(figure.name for table in tables for figure in table.figures if figure.name != SMALLER))
    for axes, (measure, heading) in zip(panels, measures.items(), strict=True):
        for name, colour in zip(names, COLOURS, strict=False):
            points = sorted(_points(tables, name, measure))
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name, markersize=4)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel("chunks")
        _plain(axes)
    panels[0].set_ylabel("ms a chunk")
    canvas.suptitle(title)
    canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=8)
    return canvas


def _points(tables: tuple[Table, ...], name: str, measure: str) -> Iterator[tuple[int, float]]:
    for table in tables:
        words = table.title.split()
        if words[words.index("at") - 1] != "10":
            continue
        for figure in table.figures:
            if figure.name == name:
                chunks = int(words[0].replace(",", ""))
                yield chunks, figure.median(measure) / chunks * 1000


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
