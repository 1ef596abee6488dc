"""Fundamentals, 8: a global concurrency limit in Prefect bounds the chunks in flight over all jobs."""

import asyncio
import uuid
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from flows.render import render_job
from helios.models.report import JobReport
from testbed.jobs import make_job

pytestmark = pytest.mark.usefixtures("prefect_api")

ALONE = (
    "import os, sys, time, pathlib; here = pathlib.Path('../notes', str(os.getpid())); here.touch(); time.sleep(0.2); "
    "others = len(list(here.parent.iterdir())) - 1; here.unlink(); sys.exit(others)"
)
"""A program that fails unless it runs alone."""


async def test_two_jobs_share_a_limit_of_one(tmp_path: Path) -> None:
    """Two jobs that each ask for two chunks at a time run one chunk at a time together, by a limit of one."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "alone.py").write_text(ALONE)
    limit = f"fundamentals-{uuid.uuid4().hex}"
    async with get_client() as client:
        await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=limit, limit=1))

    async def render(name: str) -> object:
        folder = tmp_path / name
        folder.mkdir()
        job = make_job((2, 2), name="c{index}")
        for chunk in job["chunks"]:
            chunk["command"] = f"sh -c '{chunk['command']} && python ../alone.py'"
        adapter = {"type": "local", "concurrency_limit": limit}
        return await render_job(job, adapter=adapter, job_dir=str(folder), concurrency=2, retries=0)

    for report in await asyncio.gather(render("first"), render("second")):
        assert isinstance(report, JobReport)
        assert report.state == "completed"
