"""Figures of a farm for Prometheus, read as Prometheus reads them."""

import asyncio
import json
import re
import signal
import socket
import urllib.request
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prometheus_client.parser import text_string_to_metric_families

from farm.metrics import served
from helios.errors import RequestError
from testbed.cloud.processes import ROOT, free_port
from testbed.jobs import make_job
from tests.command import start_helios_job
from tests.running import render

pytestmark = pytest.mark.usefixtures("prefect_api")

DASHBOARD = ROOT / "deploy/grafana/helios-render.json"


def read(address: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Each figure by the values of its labels, in the order of their names."""
    with urllib.request.urlopen(address) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        family.name: {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in families
    }


async def test_a_job_s_figures(tmp_path: Path) -> None:
    """A job that has just ended has its frames, chunks and failures by kind; the dashboard asks for nothing else."""
    words = ["--misbehave", "fail-times:1", "--only", "5"]
    state, report = await render(tmp_path, make_job([5] * 3, extra=words), retries=1)
    assert state.is_completed(), state.message
    async with get_client() as client, served(client, host="127.0.0.1", port=free_port()) as address:
        found = await asyncio.to_thread(read, address)
        run = await client.read_flow_run(UUID(report.run_id))
    own = (run.name, str(run.id))
    assert found["helios_up"] == {(): 1.0}
    assert found["helios_job_frames"][own] == found["helios_job_frames_accepted"][own] == 15
    assert found["helios_job_chunks"][own] == found["helios_job_chunks_accepted"][own] == 3
    failed = found["helios_job_failed_attempts"]
    assert [failed[own[0], kind, own[1]] for kind in ("command", "environment")] == [1, 0]
    assert found["helios_jobs"]["completed",] >= 1
    assert set(found["helios_workers"]) == {("online",), ("offline",)}
    asked = set(re.findall(r"helios_[a-z_]+", json.dumps(json.loads(DASHBOARD.read_text())["panels"])))
    assert asked == set(found)


async def test_a_port_that_is_taken() -> None:
    """A port that another program has is refused in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with get_client() as client:
            with pytest.raises(
                RequestError, match=rf"127.0.0.1:{port} can't be listened at \(Address already in use\)"
            ):
                async with served(client, host="127.0.0.1", port=port):
                    pass


@pytest.mark.slow
def test_the_command(prefect_api: str) -> None:
    """`helios-job metrics` serves until it is told to end."""
    port = free_port()
    process = start_helios_job("metrics", "--port", port, env={"PREFECT_API_URL": prefect_api})
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == f"Figures for Prometheus are at http://127.0.0.1:{port}/metrics; Ctrl-C ends this\n"
    assert read(f"http://127.0.0.1:{port}/metrics")["helios_up"] == {(): 1.0}
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, err) == (0, "Stopped\n", "")
