"""An own farm from the command line: start, join, look, render, stop."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from farm.own_farm import PAGE_KEY
from helios.own_farm.join_token import JoinToken, parse_token
from testbed.cloud.processes import free_port
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, helios_job, here


@contextmanager
def console(*words: str, env: dict[str, str], until: str) -> Iterator[str]:
    """A command that stays, within the block; what it has printed up to a text."""
    process = subprocess.Popen(
        [HELIOS_JOB, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **env}
    )
    assert process.stdout is not None
    try:
        printed = ""
        while until not in printed and (line := process.stdout.readline()):
            printed += line
        assert until in printed, printed
        yield printed
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


async def page_of_farm() -> str:
    """The farm's page in Prefect, once it says that two chunks were rendered."""
    async with get_client() as client, asyncio.timeout(60):
        while True:
            newest = await client.read_latest_artifacts(
                artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[PAGE_KEY]))
            )
            if newest and "2 rendered, 0 failed" in str(newest[0].data):
                return str(newest[0].data)
            await asyncio.sleep(0.5)


def test_from_one_line_to_a_video(tmp_path: Path, prefect_api: str) -> None:
    """The line that `farm start` prints is all that a node needs; the job finds the farm by itself."""
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HELIOS_FARM": ""}
    job = tmp_path / "job.json"
    document = make_job([3, 3], name="c{index}")
    document["chunks"][1] |= {
        "requires": {"gpus": 1, "tags": ["x"], "memory": "1 MB"},
        "command": f"sh -c 'test $CUDA_VISIBLE_DEVICES = 1 && {document['chunks'][1]['command']}'",
    }
    job.write_text(json.dumps(document))
    start = console("farm", "start", "--host", "127.0.0.1", "--port", str(free_port()), env=env, until="--adapter farm")
    with start as printed:
        found = re.search(r"helios-job node (\S+)\n", printed)
        assert found is not None
        kept = tmp_path / "config" / "helios" / "farm-token"
        assert kept.stat().st_mode & 0o777 == 0o600
        node = console(
            "node", found[1], "--slots=2", "--name=studio", "--tag=x", "--gpus=1", until="has joined",
            env={**env, "CUDA_VISIBLE_DEVICES": "1"},
        )  # fmt: skip
        with node as printed:
            assert re.search(r"2 chunks at a time, 1 GPUs, tags (bubblewrap, )?x\b", printed)
            status = here("farm", "status", "--json", env=env)
            (one,) = json.loads(status.stdout)
            assert (one["name"].rpartition("-")[0], one["slots"], one["gpus"]) == ("studio", 2, 1)
            assert set(one["tags"]) - {"bubblewrap"} == {"x"}
            done = helios_job(
                "run", job, "--adapter", "farm", "--output", tmp_path / "video.mp4", env={**os.environ, **env}
            )
            assert done.returncode == 0, done.stderr
            assert read_numbers(tmp_path / "video.mp4") == list(range(6))
            assert "1 nodes, 2 chunks at a time" in here("farm", "status", env=env).stdout
            page = asyncio.run(page_of_farm())
            assert re.search(
                r"\| studio-\d+ \|  \| 2 rendered, 0 failed<br>.* s each \| 2 at a time<br>1 GPUs<br>", page
            )


@pytest.mark.parametrize("text", ["", "nonsense", "host:99999/" + "A" * 43, "host:80/short"])
def test_a_token_that_is_none(tmp_path: Path, text: str) -> None:
    """One line, without the secret."""
    done = here("node", text or "x", env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.returncode == 2
    assert "is no join token" in done.stderr
    assert "A" * 43 not in done.stderr


def test_no_farm(tmp_path: Path) -> None:
    """Says how to start one."""
    done = here("farm", "status", env={"XDG_CONFIG_HOME": str(tmp_path), "HELIOS_FARM": ""})
    assert done.returncode == 2
    assert "There is no farm: start one (helios-job farm start)" in done.stderr


def test_a_unit_for_systemd(tmp_path: Path) -> None:
    """The unit starts the node with its token."""
    token = JoinToken("studio", 8786, b"s" * 32).text
    done = here("node", token, "--systemd", "--tag", "gpu", "--hours", "19:00-07:00",
                env={"XDG_CONFIG_HOME": str(tmp_path)})  # fmt: skip
    assert "node --hours=19:00-07:00 --drain=600.0 --tag=gpu" in done.stdout
    assert f"Environment=HELIOS_FARM={token}" in done.stdout, "a command's words can be read by everybody"
    assert "Restart=always" in done.stdout
    assert parse_token(token).secret == b"s" * 32
