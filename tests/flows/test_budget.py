"""A budget: what a run may cost, when it is paused over that, and how it goes on."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Pending

from farm.budgets import with_budget
from farm.here import Outcome, carry_out
from farm.runs import Resumed, find_run, resume_run
from flows.render import render_job
from helios.errors import RequestError
from helios.models.cost import CostReport
from helios.models.report import JobReport, RunState
from testbed.cloud.aws import Aws
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import here
from tests.flows.test_cost import ROUNDED, hourly, known, lambda_price
from tests.running import begun, leftovers

pytestmark = pytest.mark.usefixtures("prefect_api")


async def begin(folder: Path, job: dict[str, Any], **parameters: Any) -> Outcome:
    """Run the flow as `helios-job run` does, one chunk at a time."""
    settings = {"job": str(write_job(folder, job)), "concurrency": 1, "retries": 0} | parameters
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters=settings, state=Pending())
    return await carry_out(run, settings)


async def go_on(report: JobReport, budget: float) -> Outcome:
    """Resume it with another budget, as `helios-job resume --budget` does."""
    async with get_client() as client:
        status = await with_budget(client, await find_run(client, report.run_id), budget)
        assert await resume_run(client, status) is Resumed.HERE
    return await carry_out(status.run, status.run.parameters)


def paused(outcome: Outcome) -> tuple[JobReport, CostReport]:
    """What had become of a run that was paused."""
    assert outcome.state is RunState.PAUSED, outcome.message
    assert outcome.report is not None
    assert outcome.report.state is RunState.PAUSED
    return outcome.report, known(outcome.report)


@pytest.mark.slow
async def test_over_lambda(amazon: Aws, tmp_path: Path) -> None:
    """A job over Lambda is paused when its budget is spent, says what it takes, and is finished by a resume."""
    job = make_job([5] * 6, extra=["--misbehave", "slow:1"], outputFile="video.mp4")
    budget = lambda_price(3500)  # six chunks take more than six seconds
    outcome = await begin(tmp_path, job, adapter=amazon.config, budget=budget)
    report, first = paused(outcome)
    done = sum(chunk.state is RunState.COMPLETED for chunk in report.chunks)
    assert 0 < done < 6
    assert first.budget == budget
    assert first.total >= budget
    assert first.total == pytest.approx(first.accepted, abs=ROUNDED)  # what was in flight was finished
    assert outcome.message.startswith("The budget of ")
    assert f"helios-job resume {report.run_id} --budget " in outcome.message
    async with get_client() as client:
        state = (await find_run(client, report.run_id)).run.state
    assert state is not None
    assert (state.type, state.name, state.message) == (StateType.PAUSED, "Suspended", outcome.message)

    ended = await go_on(report, 1000 * budget)
    assert ended.state is RunState.COMPLETED, ended.message
    assert ended.report is not None
    second = known(ended.report)
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    assert sum(chunk.reused for chunk in ended.report.chunks) == done
    assert second.earlier == pytest.approx(first.total, abs=ROUNDED)
    spent = sum(one.cost or 0 for chunk in ended.report.chunks for one in chunk.timeline)
    assert second.total == pytest.approx(first.total + spent, abs=ROUNDED)
    assert leftovers(tmp_path) == []


@pytest.mark.slow
async def test_what_is_in_flight_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `budget_stop` stop, a chunk that would take ten minutes ends with the budget, and its cost is known."""
    hourly(tmp_path, monkeypatch)  # a second costs 1
    job = make_job([5] * 3, extra=["--misbehave", "hang", "--only", "5"], outputFile="video.mp4")
    outcome = await begin(tmp_path, job, budget=40.0, budget_stop="stop")
    report, cost = paused(outcome)
    assert [chunk.state.value for chunk in report.chunks] == ["completed", "cancelled", "pending"]
    assert cost.stopped > 0
    assert 40 <= cost.total < 600
    assert leftovers(tmp_path) == []


async def test_several_at_a_time_leave_something_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What attempts in flight are expected to cost is not spent twice: the budget is exceeded by less than one wave."""
    hourly(tmp_path, monkeypatch)
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", "slow:3"]
    job = make_job([5] * 9, extra=words, outputFile="video.mp4")
    report, _ = paused(await begin(tmp_path, job, concurrency=3, budget=14.0))
    assert 3 <= begun(tmp_path) < 9
    assert sum(chunk.attempts for chunk in report.chunks) == begun(tmp_path)


async def test_a_budget_that_does_not_cover_what_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resume with a budget that is spent already is refused, and the run stays as it is."""
    hourly(tmp_path, monkeypatch)
    job = make_job([5] * 3, extra=["--misbehave", "slow:2"], outputFile="video.mp4")
    report, cost = paused(await begin(tmp_path, job, budget=1.0))
    async with get_client() as client:
        status = await find_run(client, report.run_id)
        for amount in (0.5, 0.0, -1.0, float("nan")):
            with pytest.raises(RequestError, match="--budget"):
                await with_budget(client, status, amount)
        assert (await find_run(client, report.run_id)).state is RunState.PAUSED
    asked = await asyncio.to_thread(here, "status", report.run_id, "--json")
    shown = json.loads(asked.stdout)["progress"]["cost"]
    assert shown == {"total": pytest.approx(cost.total), "currency": "USD", "budget": 1.0}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--budget", "0"], "x>0"),
        (["--budget", "-3"], "x>0"),
        (["--budget", "nan"], "budget (--budget) is nan; expected 1e-09 to"),
        (["--budget", "5"], "A budget of 5 USD was given (--budget), but the workers of local cost nothing; give them"),
        (["--budget", "5", "--budget-stop", "soon"], "'soon' is not one of 'finish', 'stop'"),
    ],
)
def test_refused(tmp_path: Path, words: list[str], says: str) -> None:
    """A budget that can't be, and one where nothing costs anything, is refused before anything runs."""
    done = here("run", write_job(tmp_path, make_job([5])), *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_bad_prices(tmp_path: Path) -> None:
    """A file of prices that is none is refused in one line, before anything runs."""
    bad = tmp_path / "prices.toml"
    bad.write_text("[adapters.local]\nhour = -1\n")
    done = here("run", write_job(tmp_path, make_job([5])), env={"HELIOS_PRICES": str(bad)})
    assert done.returncode == 2
    assert done.stderr == f"helios-job: {bad}: adapters.local.hour: -1; expected greater than or equal to 0\n"
