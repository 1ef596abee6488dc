"""The output of a command: whole in a file, and a bounded part in Prefect's log."""

import asyncio
import resource
from pathlib import Path

import pytest

from tasks.run.chunk_log import FIRST_LINES, LAST_LINES, LONGEST_LINE, LineBudget, chunk_log


def logged(path: Path, lines: int, budget: LineBudget | None = None) -> list[str]:
    said: list[str] = []
    with chunk_log(path, said.append, budget or LineBudget(), root=path.parents[1]) as sink:
        for number in range(lines):
            sink("stdout", f"line {number}")
    return [line for record in said for line in record.splitlines()]


async def test_all_lines_are_in_the_file_and_few_in_prefect(tmp_path: Path) -> None:
    """The file has all lines; Prefect gets the first and the last lines, and how many are left out between them."""
    said = logged(tmp_path / "logs" / "a.log", 1000)
    assert len((tmp_path / "logs" / "a.log").read_text().splitlines()) == 1000
    assert said[:FIRST_LINES] == [f"line {number}" for number in range(FIRST_LINES)]
    assert said[FIRST_LINES].startswith(f"… {1000 - FIRST_LINES - LAST_LINES} lines left out; all are in ")
    assert said[FIRST_LINES + 1 :] == [f"line {number}" for number in range(1000 - LAST_LINES, 1000)]


async def test_short_output_is_told_whole(tmp_path: Path) -> None:
    """Short output is logged whole and once, and without output there is no file."""
    assert logged(tmp_path / "a.log", 25) == [f"line {number}" for number in range(25)]
    assert logged(tmp_path / "b.log", 0) == []
    assert not (tmp_path / "b.log").exists()


async def test_a_run_tells_no_more_than_its_budget(tmp_path: Path) -> None:
    """A run logs no more lines than its budget, over all its chunks; a long line is cut in Prefect alone."""
    budget = LineBudget(30)
    assert len(logged(tmp_path / "a.log", 25, budget)) + len(logged(tmp_path / "b.log", 25, budget)) == 30
    said: list[str] = []
    with chunk_log(tmp_path / "c.log", said.append, LineBudget(), root=tmp_path) as sink:
        sink("stderr", "x" * 5000)
    assert [len(line) for line in said] == [LONGEST_LINE]
    assert len((tmp_path / "c.log").read_text()) == 5001


async def test_lines_that_come_together_are_one_record(tmp_path: Path) -> None:
    """Lines that come together become one record, as a record's cost is fixed; it is logged while the command runs."""
    said: list[str] = []
    with chunk_log(tmp_path / "a.log", said.append, LineBudget(), root=tmp_path) as sink:
        for number in range(3):
            sink("stdout", f"line {number}")
        assert said == []
        async with asyncio.timeout(60):
            while not said:
                await asyncio.sleep(0.05)
        assert said == ["line 0\nline 1\nline 2"]
        sink("stdout", "the last")
    assert said[1:] == ["the last"]


async def test_a_full_disk_has_a_name(tmp_path: Path) -> None:
    """Where the file can't be written, the error names it: it tells which disk is full."""
    before, path = resource.getrlimit(resource.RLIMIT_FSIZE), tmp_path / "chunk.log"
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            logged(path, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
