"""What a run's page in Prefect's UI shows, read from Prefect's API."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from helios.models.report import JobReport
from helios.storage.digest import hash_file
from tasks.page.page import CHUNKS, PROGRESS, TIMELINE, VIDEO
from tasks.page.timeline import Kind
from tasks.page.timeline_picture import COLOURS
from testbed.jobs import make_job
from tests.running import eventually, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


async def artifacts_of(run_id: str) -> dict[str, dict[str, Any]]:
    """A run's artifacts by key; fails if two have the same key."""
    async with get_client() as client:
        body = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
        answer = (await client.request("POST", "/artifacts/filter", json=body)).json()
    found = [one for one in answer if one["key"] is not None]  # the others are results of tasks
    assert len({one["key"] for one in found}) == len(found)
    return {one["key"]: one for one in found}


def pictures(markdown: str) -> dict[str, bytes]:
    """The pictures in a text, by their kind."""
    return {kind: base64.b64decode(data) for kind, data in re.findall(r"data:image/([a-z+]+);base64,([^)]+)\)",
                                                                      markdown)}  # fmt: skip


async def logged(report: JobReport, text: str) -> list[str]:
    """The messages of a run's log, once one of them contains a text."""
    lines: list[str] = []
    deadline = time.monotonic() + 60
    async with get_client() as client:
        while not any(text in line for line in lines):
            assert time.monotonic() < deadline, lines
            body = {"logs": {"flow_run_id": {"any_": [report.run_id]}}, "sort": "TIMESTAMP_ASC"}
            lines = [entry["message"] for entry in (await client.request("POST", "/logs/filter", json=body)).json()]
            await asyncio.sleep(0.2)
    return lines


async def test_the_page_of_a_job_that_went_well(tmp_path: Path) -> None:
    """The page has progress, chunks with logs, a timeline with retry and stitch, the video and its contact sheet."""
    job = make_job([5] * 4, extra=["--misbehave", "fail-times:1", "--only", "5"], outputFile="video.mp4")
    _, report = await render(tmp_path, job, retries=1)
    found = await artifacts_of(report.run_id)
    assert set(found) == {PROGRESS, CHUNKS, TIMELINE, VIDEO}
    assert found[PROGRESS]["data"] == 100.0
    rows = json.loads(found[CHUNKS]["data"])
    assert [(row["chunk"], row["state"], row["attempts"]) for row in rows] == [
        (0, "completed", 1), (1, "completed", 2), (2, "completed", 1), (3, "completed", 1),
    ]  # fmt: skip
    task_run = re.fullmatch(r"\[log\]\(/runs/task-run/([0-9a-f-]{36})\?tab=Logs\)", rows[1]["log"])
    assert task_run is not None
    async with get_client() as client:
        assert (await client.read_task_run(UUID(task_run[1]))).name == "chunk-1"
    picture = pictures(found[TIMELINE]["data"])["svg+xml"].decode()
    ElementTree.fromstring(picture)  # noqa: S314  our own
    for kind in (Kind.RENDERING, Kind.RETRYING, Kind.FAILED, Kind.STITCHING):
        assert picture.count(COLOURS[kind]) >= 2, kind
    assert "1 attempts failed" in found[TIMELINE]["data"]
    assert "| 1 (frames 5 to 9) |" in found[TIMELINE]["data"]
    assert pictures(found[VIDEO]["data"])["jpeg"].startswith(b"\xff\xd8")
    digest, size = hash_file(tmp_path / "video.mp4")
    for text in (f"`{tmp_path}/video.mp4`", "| frames | 20 |", f"{size} bytes", f"`{digest}`"):
        assert text in found[VIDEO]["data"]
    assert report.video is not None
    assert report.video.sha256 == digest


async def test_a_reused_chunk_is_shown_as_such(tmp_path: Path) -> None:
    """A reused chunk is shown as reused in the table and in the timeline."""
    job = make_job([5] * 2, id=f"page {tmp_path.name}")
    await render(tmp_path, job)
    _, again = await render(tmp_path, job)
    found = await artifacts_of(again.run_id)
    assert [row["state"] for row in json.loads(found[CHUNKS]["data"])] == ["reused", "reused"]
    assert pictures(found[TIMELINE]["data"])["svg+xml"].decode().count(COLOURS[Kind.REUSED]) == 2 + 1
    assert "2 of 2 chunks were reused" in found[TIMELINE]["data"]


async def test_a_resumed_run_goes_on_with_its_page(tmp_path: Path) -> None:
    """A resumed run goes on with the artifacts of its page, and makes none a second time."""
    job = make_job([5] * 2, extra=["--misbehave", "fail-times:1", "--only", "5"])
    _, report = await render(tmp_path, job, concurrency=1)
    before = await artifacts_of(report.run_id)
    assert before[PROGRESS]["data"] == 50
    state, _ = await resume(report)
    assert state.is_completed()
    after = await artifacts_of(report.run_id)
    assert {key: after[key]["id"] for key in before} == {key: one["id"] for key, one in before.items()}
    assert after[PROGRESS]["data"] == 100


async def test_the_page_while_the_job_runs(tmp_path: Path) -> None:
    """While the job runs, the page shows the chunks in flight and the newest chunk's picture."""
    words = ["--misbehave", "slow:120", "--only", "5"]
    job = make_job([5] * 2, extra=words, id=f"running {tmp_path.name}")
    running = asyncio.create_task(render(tmp_path, job))
    seen: dict[str, dict[str, Any]] = {}

    async def is_shown() -> bool:
        async with get_client() as client:
            newest = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=20)
        for run in newest:
            if run.parameters.get("job") == str(tmp_path / "job.json"):
                seen.update(await artifacts_of(str(run.id)))
        if "Newest chunk: 0, from frame 0" not in seen.get(VIDEO, {}).get("description", "") or CHUNKS not in seen:
            return False
        return [row["state"] for row in json.loads(seen[CHUNKS]["data"])] == ["completed", "running"]

    try:
        await eventually(is_shown)
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert seen[PROGRESS]["description"].startswith("rendering: 5 of 10 frames, 1 of 2 chunks")


async def test_a_command_s_lines_are_in_its_task_run_s_log(tmp_path: Path) -> None:
    """A task run's log has the first and the last lines of its command, and says where the others are."""
    job = make_job((5,), extra=["--misbehave", "flood:1"])
    _, report = await render(tmp_path, job)
    lines = [line for record in await logged(report, "Accepted: frames 0 to 4") for line in record.splitlines()]
    assert sum(line == "x" * 99 for line in lines) == 40
    assert any(line.startswith("… 9960 lines left out; all are in ") for line in lines)
