"""What a job costs: real runs over the clouds' stand-ins, held against the platforms' rules, computed by hand."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helios.models.cost import CostReport
from helios.models.explained import explain_report
from helios.models.report import JobReport
from testbed.cloud.aws import Aws, Faulty
from testbed.cloud.google import Google
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")

WITHIN = 0.05
"""Of what the platform's rules give for the times that it has measured."""
ROUNDED = 1e-7
"""Amounts in a report are rounded to nine decimals, each by itself, so that a sum of some is not the rounded sum."""


def lambda_price(milliseconds: float) -> float:
    """An invocation of the stand-in's function: 2,048 MB, to the millisecond, and a request."""
    return 2 * math.ceil(milliseconds) / 1000 * 0.0000166667 + 0.0000002


def service_price(milliseconds: float) -> float:
    """A request to a service of 2 vCPUs and 4 GiB, to the tenth of a second, and the request itself."""
    return math.ceil(milliseconds / 100) / 10 * (2 * 0.000024 + 4 * 0.0000025) + 0.0000004


def task_price(milliseconds: float) -> float:
    """A task of a job of 2 vCPUs and 4 GiB: a minute at least, then to the tenth of a second."""
    return max(60.0, math.ceil(milliseconds / 100) / 10) * (2 * 0.000018 + 4 * 0.000002)


def known(report: JobReport) -> CostReport:
    """What a job has cost that costs something."""
    assert report.cost is not None
    return report.cost


async def bill(
    folder: Path, config: dict[str, Any], service: Faulty, price: Callable[[float], float], *, slow: float = 1
) -> tuple[JobReport, float]:
    """Render a job; its report, and what the platform would bill by its own measures."""
    before = len(service.worked)
    job = make_job([15] * 4, extra=["--misbehave", f"slow:{slow}"], outputFile="video.mp4")
    state, report = await render(folder, job, adapter=config, hedge=0.0)
    assert state.is_completed(), state.message
    assert read_numbers(folder / "video.mp4") == list(range(60))
    return report, sum(map(price, service.worked[before:]))


async def test_lambda(amazon: Aws, tmp_path: Path) -> None:
    """An invocation costs what Lambda's own report says that it bills, each attempt its share."""
    report, billed = await bill(tmp_path, amazon.config, amazon.functions, lambda_price)
    cost = known(report)
    assert cost.total == pytest.approx(billed, rel=WITHIN)
    assert cost.total == pytest.approx(cost.accepted, abs=ROUNDED)
    assert cost.currency == "USD"
    assert sum(one.cost or 0 for chunk in report.chunks for one in chunk.timeline) == pytest.approx(
        cost.total, abs=ROUNDED
    )


@pytest.mark.slow
async def test_a_cloud_run_service(google: Google, tmp_path: Path) -> None:
    """A request costs its time with the start of its instance, rounded up to the tenth of a second."""
    report, billed = await bill(tmp_path, google.service_config, google.service, service_price, slow=4)
    assert known(report).total == pytest.approx(billed, rel=WITHIN)


@pytest.mark.slow
async def test_a_cloud_run_job(google: Google, tmp_path: Path) -> None:
    """A task of a few seconds costs a minute of the CPUs and the memory that the job states."""
    report, billed = await bill(tmp_path, google.job_config, google.jobs, task_price)
    assert known(report).total == pytest.approx(billed, rel=WITHIN)
    assert known(report).total == pytest.approx(4 * task_price(1))


def hourly(folder: Path, monkeypatch: pytest.MonkeyPatch, *, hour: float = 3600.0) -> None:
    """Let a slot of this machine cost so much an hour."""
    (folder / "prices.toml").write_text(f"[adapters.local]\nhour = {hour}\n")
    monkeypatch.setenv("HELIOS_PRICES", str(folder / "prices.toml"))


async def test_what_was_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed attempts and audits cost as much as others, and the report and `explain` say what was for what."""
    hourly(tmp_path, monkeypatch)  # a second costs 1
    job = make_job([5] * 3, extra=["--misbehave", "slow:0.5"], outputFile="video.mp4")
    failing = job["chunks"][1]
    failing["command"] = f"sh -c 'mkdir been 2>/dev/null && sleep 1 && exit 3; exec \"$@\"' sh {failing['command']}"
    state, report = await render(tmp_path, job, retries=1, audit=0.4)
    assert state.is_completed(), state.message
    cost = known(report)
    times = [one for chunk in report.chunks for one in chunk.timeline]
    assert [one.outcome.value for one in report.chunks[1].timeline] == ["failed", "completed"]
    assert cost.failed == pytest.approx(report.chunks[1].timeline[0].cost)
    assert cost.failed >= 1
    assert cost.accepted == pytest.approx(sum(one.cost or 0 for one in times) - cost.failed)
    assert cost.audits > 0.5
    assert (cost.hedges, cost.stopped, cost.earlier) == (0, 0, 0)
    assert cost.total == pytest.approx(cost.accepted + cost.failed + cost.audits)
    assert any(line.startswith("Cost: ") and " for failed attempts, " in line for line in explain_report(report))


async def test_nothing_at_home(tmp_path: Path) -> None:
    """A job on this machine, which costs nothing by default, says nothing of money."""
    _, report = await render(tmp_path, make_job([5], outputFile="video.mp4"))
    assert report.cost is None
    assert report.chunks[0].timeline[0].cost is None
    assert not any("Cost" in line for line in explain_report(report))
