"""Fundamentals, 3: the type of an error decides what happens next."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from adapters import BUILT_IN
from adapters.local import LocalAdapter
from flows.render import render_job
from helios import CommandError, HeliosError, OutputSink, RequestError, WorkerJob, WorkerResult, WorkerUnavailableError
from helios.models.report import ChunkReport, JobReport
from testbed.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect_api")

ERRORS: dict[str, HeliosError] = {
    "command": CommandError("exited with code 1"),
    "environment": WorkerUnavailableError("no process could be started"),
    "request": RequestError("no such program"),
}


class FlakyConfig(BaseModel):
    """The failures of an adapter, one for each execution; executions after them render."""

    type: Literal["flaky"] = "flaky"
    failures: tuple[str, ...]


class Flaky:
    """An adapter that fails as configured, and renders after that."""

    config_type: ClassVar[type[BaseModel]] = FlakyConfig

    def __init__(self, config: FlakyConfig) -> None:
        self._failures = iter(config.failures)
        self._inner = LocalAdapter()

    async def execute(self, job: WorkerJob, *, on_output: OutputSink | None = None) -> WorkerResult:
        """Fail, or run the command."""
        if failure := next(self._failures, None):
            raise ERRORS[failure]
        return await self._inner.execute(job, on_output=on_output)


@pytest.fixture(autouse=True)
def _adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN, "flaky", f"{__name__}:Flaky")


async def render(folder: Path, failures: list[str], **parameters: Any) -> ChunkReport:
    """Render a job of one chunk with an adapter that fails first; return what became of the chunk."""
    state: Any = await render_job(
        make_job((5,)), adapter={"type": "flaky", "failures": failures}, job_dir=str(folder),
        retry_delay_seconds=0, return_state=True, **parameters,
    )  # fmt: skip
    result = await state.aresult(raise_on_failure=False)
    report = result if isinstance(result, JobReport) else result.report
    chunk: ChunkReport = report.chunks[0]
    return chunk


async def test_a_failed_command_counts_against_its_retries(tmp_path: Path) -> None:
    """With two retries, the third attempt may succeed, and there is no fourth."""
    chunk = await render(tmp_path, ["command"] * 2, retries=2)
    assert (chunk.state, chunk.attempts, chunk.command_failures) == ("completed", 3, 2)
    chunk = await render(tmp_path, ["command"] * 3, retries=2)
    assert (chunk.state, chunk.attempts, chunk.command_failures) == ("failed", 3, 3)


async def test_a_failed_environment_has_a_bound_of_its_own(tmp_path: Path) -> None:
    """A failed environment uses up no retry of the chunk's command, and has a bound of its own."""
    chunk = await render(tmp_path, ["environment"] * 3, retries=0, environment_retries=3)
    assert (chunk.state, chunk.attempts, chunk.environment_failures) == ("completed", 4, 3)
    chunk = await render(tmp_path, ["environment"] * 4, retries=9, environment_retries=3)
    assert (chunk.state, chunk.attempts, chunk.environment_failures) == ("failed", 4, 4)


async def test_a_wrong_request_is_tried_once(tmp_path: Path) -> None:
    """A wrong request is tried once, whatever the retries."""
    chunk = await render(tmp_path, ["request"], retries=9, environment_retries=9)
    assert (chunk.state, chunk.attempts, chunk.error is not None) == ("failed", 1, True)
