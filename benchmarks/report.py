"""The results of a run of the bench, as text, as JSON, and as plots."""

import os
import platform
from pathlib import Path

from pydantic import BaseModel

from benchmarks.measure import Table


class Suite(BaseModel, frozen=True):
    """The results of one suite."""

    name: str
    """The suite's name on the command line."""
    seconds: float = 0.0
    """How long it took."""
    tables: tuple[Table, ...] = ()
    """In the order in which they were measured."""
    skipped: str = ""
    """Why nothing was measured."""

    def to_markdown(self, *, heading: bool = True) -> str:
        """The suite as Markdown."""
        lines = [f"### {self.name} ({self.seconds:.0f} s)", ""] if heading else []
        lines += [self.skipped, ""] if self.skipped else []
        return "\n".join([*lines, *(table.to_markdown() for table in self.tables)])


class Report(BaseModel, frozen=True):
    """The results of a run of the bench."""

    machine: str
    """The machine that was measured."""
    extent: str
    """The extent of the run."""
    suites: tuple[Suite, ...]
    """In the order in which they ran."""

    def to_markdown(self) -> str:
        """The report as Markdown."""
        lines = [f"Machine: {self.machine}. Extent: {self.extent}.", "", self.goals_to_markdown(), ""]
        return "\n".join([*lines, *(suite.to_markdown() for suite in self.suites)])

    def goals_to_markdown(self) -> str:
        """The goals and the measured values; empty without goals."""
        goals = [goal for suite in self.suites for table in suite.tables for goal in table.goals]
        rows = [f"| {goal.text} | {goal.value:.4g} | {'met' if goal.is_met else 'missed'} |" for goal in goals]
        return "\n".join(["| goal | measured | |", "| --- | --- | --- |", *rows]) if rows else ""

    def write(self, folder: Path) -> None:
        """Write `report.md` and `report.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.md").write_text(self.to_markdown(), encoding="utf-8")
        (folder / "report.json").write_text(self.model_dump_json(indent=1), encoding="utf-8")


def describe_machine() -> str:
    """Describe this machine: processor, memory, system, versions."""
    import av
    import prefect

    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, Prefect {prefect.__version__}, PyAV {av.__version__}"
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}; {versions}"
