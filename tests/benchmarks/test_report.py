"""The bench's report: medians, ratios to a reference of the same run, goals, and files."""

import json
from pathlib import Path

import pytest

from benchmarks.document import fill, merge
from benchmarks.measure import WALL, Column, Figure, Goal, Table, compare
from benchmarks.plots import draw
from benchmarks.report import Report, Suite


def _table(**fields: object) -> Table:
    slow = Figure(name="ours", samples=({WALL: 3.0}, {WALL: 2.0}, {WALL: 10.0}))
    fast = Figure(name="plain", samples=({WALL: 2.0}, {WALL: 1.0}, {WALL: 4.0}))
    return Table.model_validate({"title": "a thing", "figures": (slow, fast), "reference": "plain", **fields})


def test_medians_ratios_and_spread() -> None:
    """A line has the median, lowest and highest, the median of the rounds' ratios, and the number of runs."""
    text = _table(note="Mind the gap.").to_markdown()
    assert "| ours | 3.00 | 2.00 to 10.00 | 2.000 (1.500 to 2.500) | 3 |" in text
    assert "| plain | 2.00 | 1.00 to 4.00 | 1 | 3 |" in text
    assert text.rstrip().endswith("Mind the gap.")


def test_a_table_without_reference() -> None:
    """A table without a reference has no ratios; a measure that a figure lacks is left empty."""
    columns = (Column(measure=WALL, heading="s"), Column(measure="memory", heading="MB"))
    assert "| ours | 3.00 |  | 2.00 to 10.00 |  | 3 |" in _table(reference=None, columns=columns).to_markdown()


async def test_runs_are_interleaved() -> None:
    """Runs are interleaved, so that a machine that slows down slows all contestants; their own measures are kept."""
    order: list[str] = []

    def contestant(name: str) -> "Contestant":
        return Contestant(name, order)

    figures = await compare({"a": contestant("a"), "b": contestant("b")}, runs=3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [len(figure.samples) for figure in figures] == [3, 3]
    assert [figure.name for figure in figures] == ["a", "b"]
    assert figures[0].samples[0]["named"] == 1.0
    assert WALL in figures[0].samples[0]
    # Each contestant returns the number of its turn as a measure of its own.
    assert [sample["turn"] for sample in figures[0].samples] == [1, 4, 5]
    assert [sample["turn"] for sample in figures[1].samples] == [2, 3, 6]


class Contestant:
    """A contestant that records its turn."""

    def __init__(self, name: str, order: list[str]) -> None:
        self.name = name
        self.order = order

    async def __call__(self) -> dict[str, float]:
        """Record the turn, and return it."""
        self.order.append(self.name)
        return {"named": 1.0, "turn": float(len(self.order))}


@pytest.mark.parametrize(("value", "word"), [(1.03, "met"), (1.04, "missed")])
def test_goals_are_held_against_what_was_measured(value: float, word: str) -> None:
    """The report says of each goal whether the measured value meets it."""
    goal = Goal(text="at most 1.03", value=value, most=1.03)
    report = Report(machine="here", extent="quick", suites=(Suite(name="stitch", tables=(_table(goals=(goal,)),)),))
    assert f"| at most 1.03 | {value} | {word} |" in report.to_markdown()


def test_files(tmp_path: Path) -> None:
    """A report is written as text, as JSON that can be read back, and as plots whose text is text."""
    per_chunk = {WALL: 2.0, "flow_cpu_seconds": 1.0, "server_cpu_seconds": 1.5}
    sizes = tuple(
        Table(
            title=f"{n} chunks of nothing, 10 at a time, SQLite", figures=(Figure(name="ours", samples=(per_chunk,)),)
        )
        for n in (100, 1000)
    )
    suites = (Suite(name="stitch", tables=(_table(),)), Suite(name="overhead", tables=sizes))
    report = Report(machine="here", extent="quick", suites=(*suites, Suite(name="overhead-postgresql", skipped="No.")))
    report.write(tmp_path)
    assert Report.model_validate_json((tmp_path / "report.json").read_text()) == report
    assert json.loads((tmp_path / "report.json").read_text())["machine"] == "here"
    assert "No." in (tmp_path / "report.md").read_text()
    assert [path.name for path in draw(report, tmp_path)] == ["stitch.svg", "overhead.svg"]
    assert "ours: 2.00 (3.00 s)" in (tmp_path / "stitch.svg").read_text()
    before = (tmp_path / "overhead.svg").read_bytes()
    draw(report, tmp_path)
    assert (tmp_path / "overhead.svg").read_bytes() == before


def test_a_document_is_filled_between_its_marks() -> None:
    """The last report of a suite replaces the text between the suite's marks; the text around the marks stays."""
    goal = Goal(text="fast", value=1.0, most=2.0)
    first = Report(machine="here", extent="quick", suites=(Suite(name="stitch", tables=(_table(title="old"),)),))
    again = Report(machine="here", extent="quick", suites=(Suite(name="stitch", tables=(_table(goals=(goal,)),)),))
    text = "Before.\n<!-- stitch -->\nstale\n<!-- /stitch -->\nAfter.\n<!-- goals -->\n<!-- /goals -->\n"
    filled = fill(text, merge([first, again]))
    assert filled.startswith("Before.\n<!-- stitch -->\n\n**a thing**\n")
    assert "<!-- /stitch -->\nAfter.\n" in filled
    assert "stale" not in filled
    assert "| fast | 1 | met |" in filled
    assert fill(filled, again) == filled
