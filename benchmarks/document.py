"""Put measured results into a document: `python -m benchmarks.document DOCUMENT REPORT.json …`.

The text between `<!-- NAME -->` and `<!-- /NAME -->` is replaced, where NAME is a suite, `goals` or `machine`; plots
go to `images/performance-SUITE.svg` beside the document. If several reports have a suite, the last report counts.
"""

import sys
from pathlib import Path

from benchmarks.plots import draw
from benchmarks.report import Report


def merge(reports: list[Report]) -> Report:
    """Merge the suites of several reports of one machine into one report, in the order of the first report."""
    suites = {suite.name: suite for report in reports for suite in report.suites}
    return reports[0].model_copy(update={"suites": tuple(suites.values())})


def fill(text: str, report: Report) -> str:
    """Replace the text between the marks of every suite that the report has, of `goals` and of `machine`."""
    parts = {suite.name: suite.to_markdown(heading=False) for suite in report.suites}
    parts |= {"machine": f"{report.machine}.", "goals": report.goals_to_markdown()}
    for name, part in parts.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if mark and end:
            text = f"{before}{mark}\n{part.strip()}\n\n{end}{after}"
    return text


def main() -> None:
    """Fill the document in place."""
    document, *paths = map(Path, sys.argv[1:])
    report = merge([Report.model_validate_json(path.read_text(encoding="utf-8")) for path in paths])
    document.write_text(fill(document.read_text(encoding="utf-8"), report), encoding="utf-8")
    images = document.parent / "images"
    for plot in draw(report, images):
        plot.replace(images / f"performance-{plot.name}")


if __name__ == "__main__":
    main()
