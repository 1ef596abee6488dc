"""The folder of a flow on the cluster's disk, and the guard that outlives the flow."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.farm_cluster.flow_folder import FlowFolder
from helios.errors import RequestError
from helios.own_farm.join_token import JoinToken, draw_secret
from tests.command import until

TOKEN = JoinToken("127.0.0.1", 8786, draw_secret())


def cancelling(folder: Path) -> list[str]:
    """A command that notes which job it is to cancel."""
    return ["/bin/sh", "-c", f'echo "$1" >> {folder}/cancelled', "sh"]


async def test_the_folder_is_its_users_alone(tmp_path: Path) -> None:
    """Token and folder are nobody else's to read, and gone when the flow ends; logs of failures stay for a month."""
    shared = tmp_path / "shared"
    old = shared / "helios-slurm-0a1b2c"
    mine = shared / "helios-slurm-notes"
    for one in (old, mine):
        one.mkdir(parents=True)
        os.utime(one, (time.time() - 31 * 86_400,) * 2)
    folder = FlowFolder(shared, "helios-slurm-abcdef", TOKEN)
    folder.open("Slurm", cancel=cancelling(tmp_path))
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "token").stat().st_mode & 0o777 == 0o600
    assert (folder.path / "token").read_text().strip() == TOKEN.text
    (folder.path / "a.log").touch()
    await folder.close(keep=True)
    assert [path.name for path in folder.path.iterdir()] == ["a.log"]
    assert sorted(path.name for path in shared.iterdir()) == ["helios-slurm-abcdef", "helios-slurm-notes"]
    assert not (tmp_path / "cancelled").exists()


def test_no_place_for_it(tmp_path: Path) -> None:
    """A folder that can't be made is an error that says which setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="folder in the cluster's settings"):
        FlowFolder(tmp_path / "file", "helios-slurm-abcdef", TOKEN).open("Slurm", cancel=["true"])


def test_the_guard(tmp_path: Path) -> None:
    """When the flow is killed, the guard cancels the jobs that wait, and removes the token."""
    program = f"""
import time
from pathlib import Path
from adapters.farm_cluster.flow_folder import FlowFolder
from helios.own_farm.join_token import parse_token
folder = FlowFolder(Path({str(tmp_path)!r}), "helios-slurm-abcdef", parse_token({TOKEN.text!r}))
folder.open("Slurm", cancel={cancelling(tmp_path)!r})
for sign, job in ("+1", "+2", "+3", "-2"):
    folder.note(sign, job)
print("ready", flush=True)
time.sleep(600)
"""
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    until(lambda: not (tmp_path / "helios-slurm-abcdef" / "token").exists())
    assert (tmp_path / "cancelled").read_text().split() == ["1", "3"]
