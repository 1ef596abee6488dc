"""Log rules, on what real processes print."""

import sys
from typing import Any

import pytest
from pydantic import ValidationError

from helios.errors import CommandError, HeliosError, WorkerUnavailableError
from helios.models.log_rules import LogRules, line_expression
from helios.models.spec import RenderJobChunk
from helios.models.worker import WorkerResult
from helios.processes.command import run_command
from helios.processes.log_watch import watched

CHUNK = RenderJobChunk(id=0, start_frame=10, frame_count=20, output_file="a.mp4", command="a")


async def run(script: str, **rules: Any) -> tuple[WorkerResult, list[int], list[str]]:
    """Run a Python script under rules; its result, its progress and its warnings."""
    done: list[int] = []
    warned: list[str] = []
    async with watched(
        LogRules(**rules), name="renderer", chunk=CHUNK, on_progress=done.append, on_warning=warned.append
    ) as watch:
        ended = await run_command([sys.executable, "-uc", script], on_output=watch, grace_seconds=0.5)
    return watch.checked(ended), done, warned


@pytest.mark.parametrize(
    ("pattern", "line", "found"),
    [
        ("Error: *", "error: no camera", {}),
        ("Error: *", "An Error: no camera", None),
        ("*out of memory*", "CUDA out of memory (2 GB)", {}),
        ("a*b*c", "a then b then c", {}),
        ("a*b*c", "a then c then b", None),
        ("Fra:{frame} *", "Fra:12 Mem:9.12M", {"frame": "12"}),
        ("frame={count} *", "frame=  120 fps= 25 q=28.0", {"count": "120"}),
        ("*{percent}%*", "Rendering:  45.5%|###   | 9/20", {"percent": "45"}),
        ("(.*)+x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", None),
    ],
)
def test_patterns_of_lines(pattern: str, line: str, found: dict[str, str] | None) -> None:
    """A pattern is a whole line of any case, in which * is any text and a field is a number."""
    match = line_expression(pattern).fullmatch(line)
    assert (match.groupdict() if match else None) == found


def test_no_pattern_takes_long() -> None:
    """The worst pattern is through the longest line before this test's timeout: no piece is tried twice."""
    assert line_expression("*a" * 90 + "*{count}b").fullmatch("a" * 500) is None


@pytest.mark.parametrize(
    "fields",
    [{"failure": ["*"]}, {"failure": ["a\nb"]}, {"progress": ["Fra:12"]}, {"progress": ["{frame} of {count}"]},
     {"warning": ["x" * 201]}, {"environment_codes": [300]}],
)  # fmt: skip
def test_patterns_that_are_refused(fields: dict[str, Any]) -> None:
    """A pattern of every line, of two lines, without a number, or that is too long is refused."""
    with pytest.raises(ValidationError):
        LogRules.model_validate(fields)


async def test_a_line_means_failure_although_the_exit_code_is_0() -> None:
    """A command that says that it failed has failed, and the message has the line and those after it."""
    script = "print('Error: add-on missing'); print('  in scene.blend'); print('quit')"
    with pytest.raises(CommandError, match=r"rule 'error: \*'\):\n  Error: add-on missing\n  in scene.blend\n  quit"):
        await run(script, failure=["error: *"])


async def test_a_failed_command_is_stopped() -> None:
    """A command that goes on after it has said that it failed is stopped a moment later."""
    script = "import time\nprint('Error: no camera')\ntime.sleep(300)"
    with pytest.raises(CommandError, match="Error: no camera"):
        await run(script, failure=["Error: *"])


@pytest.mark.parametrize(
    ("script", "rules"),
    [
        ("import sys; print('Out of memory', file=sys.stderr); sys.exit(1)", {"environment": ["*out of memory*"]}),
        ("import sys; sys.exit(42)", {"environment_codes": [42]}),
        ("print('Error: no licence left')", {"failure": ["Error: *"], "environment": ["*licence*"]}),
    ],
)
async def test_the_machine_has_failed(script: str, rules: dict[str, Any]) -> None:
    """A line or an exit code may say that the machine failed, and such a rule comes before one of failure."""
    with pytest.raises(HeliosError) as raised:
        await run(script, **rules)
    assert type(raised.value) is WorkerUnavailableError


async def test_progress_within_a_chunk() -> None:
    """Progress is counted in frames of the chunk, never backwards and never beyond its end."""
    script = "for n in (10, 12, 12, 11, 29, 400): print(f'Fra:{n} Mem')"
    assert (await run(script, progress=["Fra:{frame} *"]))[1] == [2, 19, 20]
    assert (await run("print('frame=   7 fps')", progress=["frame={count} *"]))[1] == [7]
    assert (await run("print('50 %'); print('100%')", progress=["{percent}*%"]))[1] == [10, 20]


async def test_warnings_are_told_once() -> None:
    """A warning is told once for each text, ten at most of an attempt."""
    script = "for n in range(30): print('Warning: same'); print(f'Warning: {n}')"
    assert (await run(script, warning=["Warning: *"]))[2] == ["Warning: same", *(f"Warning: {n}" for n in range(9))]
