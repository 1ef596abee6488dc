"""A batch's rows as a table on its run's page in Prefect's UI; of a large batch, rows in trouble first."""

import posixpath
from collections.abc import Sequence

from helios.models.batch import RowResult
from helios.models.report import RunState

MOST_ROWS = 500
_MOST_CHARACTERS = 300
"""Of a row's message; the row's own page has all of it."""


def batch_table(results: Sequence[RowResult], *, total: int, before: int = 0) -> str:
    """The table in Markdown, whose rows link to their runs.

    Args:
        results: Rows that have ended or been begun, in any order.
        total: Rows of the batch.
        before: Rows that were done before.
    """
    done = before + sum(result.state is RunState.COMPLETED for result in results)
    earlier = f", {before} of them before" if before else ""
    lines = [f"{done} of {total} rows are done{earlier}.", "", "| row | state | chunks | what |", "|---|---|---|---|"]
    by_need = sorted(results, key=lambda result: (result.state is RunState.COMPLETED, result.row))
    for result in sorted(by_need[:MOST_ROWS], key=lambda result: result.row):
        link = f"[{result.row}](/runs/flow-run/{result.run_id})" if result.run_id else str(result.row)
        chunks = f"{result.chunks}, {result.reused} reused" if result.reused else str(result.chunks or "")
        lines.append(f"| {link} | {result.state} | {chunks} | {_cell(_message(result))} |")
    if len(by_need) > MOST_ROWS:
        lines += ["", f"{len(by_need) - MOST_ROWS} rows that are done are not shown."]
    return "\n".join(lines)


def _message(result: RowResult) -> str:
    """What became of a row, with the video's name alone: the column is cut off where its folder would end."""
    if result.output is None or not result.message.startswith(result.output):
        return result.message
    return posixpath.basename(result.output) + result.message.removeprefix(result.output)


def _cell(text: str) -> str:
    """A text that stays in its cell, and is no markup."""
    text = " ".join(text[:_MOST_CHARACTERS].split())
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
