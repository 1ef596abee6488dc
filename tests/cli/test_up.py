"""`helios-job up`, and the commands that find its server."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters import limit_name
from testbed.cloud.processes import free_port
from testbed.jobs import make_job, write_job
from testbed.prefect_home import READY, flow_run_states, furnish
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, ask_api, helios_job, until
from tests.running import is_alive

DEPLOYMENTS = ("render-job/local", "render-job/aws-lambda", "render-job/cloud-run", "render-job/nightly")


class Farm:
    """`helios-job up` in a process of its own, without any configuration of Prefect.

    Args:
        home: Prefect's home. It has a ready database: a server takes half a minute to make one.
    """

    def __init__(self, home: Path) -> None:
        furnish(home)
        self.home = home
        own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = {
            **own,
            "PREFECT_HOME": str(home),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **READY,
        }
        self.port = free_port()
        self.process = subprocess.Popen(
            [HELIOS_JOB, "up", "--port", str(self.port)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment, start_new_session=True,
        )  # fmt: skip
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        until(lambda: self.is_up or self.process.poll() is not None, seconds=170)
        assert self.is_up, self.said

    @property
    def is_up(self) -> bool:
        """Whether it has printed that it is up."""
        return "Ctrl-C stops all of it.\n" in self.said

    def ask(self, *words: str | Path) -> str:
        """Run `helios-job` with the farm's environment; return what it printed."""
        done = helios_job(*words, env=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def api(self, path: str) -> Any:
        """Query the farm's server without a filter."""
        return ask_api("POST", f"http://127.0.0.1:{self.port}/api{path}", {}, auth=self.auth)

    @property
    def auth(self) -> str:
        """The credential, from the file in which commands find it."""
        return (self.home / "helios-job-up.credential").read_text()

    @property
    def link(self) -> str:
        """The link that it has printed."""
        (line,) = (line for line in self.said if line.startswith("Prefect's UI"))
        return line.split()[-1]

    def new_link(self) -> str:
        """The link that another `helios-job up` prints."""
        done = helios_job("up", env=self.environment)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        return done.stderr.split()[-1]

    def stop(self) -> int:
        """Send SIGINT, as Ctrl-C does; return the exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(120)
        finally:
            self.process.kill()
            self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            self.said.extend(stream)


@pytest.fixture
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm on a server that knows nothing yet."""
    farm = Farm(tmp_path_factory.mktemp("farm"))
    yield farm
    if farm.process.poll() is None:
        farm.stop()


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_from_nothing_to_a_video_and_to_nothing(farm: Farm, tmp_path: Path) -> None:
    """Commands find the farm without configuration, others get in; Ctrl-C cancels a job and leaves no process."""
    assert all(any(name in line for line in farm.said) for name in DEPLOYMENTS)
    limits = {limit["name"]: limit["limit"] for limit in farm.api("/v2/concurrency_limits/filter")}
    assert limits[limit_name("local")] == os.cpu_count()
    assert limits["helios-aws-lambda"] == 1000
    queues = {queue["name"]: queue["priority"] for queue in farm.api("/work_pools/helios/queues/filter")}
    assert sorted(queues, key=lambda name: queues[name]) == ["urgent", "default", "background"]
    until(lambda: farm.api("/flow_runs/filter"))  # the nightly render's runs
    assert farm.ask("list") == ""
    _lets_other_commands_in(farm)
    run = farm.ask("submit", write_job(tmp_path, make_job([5] * 3)), "--output", tmp_path / "video.mp4").strip()
    assert f"{tmp_path}/video.mp4: 15 frames, 0.500 s" in farm.ask("wait", run)
    assert read_numbers(tmp_path / "video.mp4") == list(range(15))
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
    farm.ask("submit", write_job(tmp_path, make_job([5] * 2, extra=words)))
    until(lambda: len(list((tmp_path / "notes").iterdir())) >= 1)
    family = psutil.Process(farm.process.pid).children(recursive=True)
    _has_told_nobody(farm, family)
    assert farm.stop() == 0
    assert [path.name for path in farm.home.iterdir() if path.name.startswith("helios-job-up")] == []
    assert family
    until(lambda: not any(map(is_alive, family)))
    assert farm.said[-1] == "Stopped\n"
    states = [state for state in flow_run_states(farm.home)[0] if state != "Scheduled"]  # the nightly render's runs
    assert sorted(states) == ["Cancelled", "Completed"]


def _lets_other_commands_in(farm: Farm) -> None:
    """`helios-job env` lets Prefect's commands in; ours accept a configured address; another `up` prints a new link."""
    prefect = str(Path(HELIOS_JOB).with_name("prefect"))
    script = f'eval "$({HELIOS_JOB} env)" && COLUMNS=200 {prefect} deployment ls'
    done = subprocess.run(["sh", "-c", script], env=farm.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "render-job/local" in done.stdout) == (0, True), done.stdout + done.stderr
    configured = {**farm.environment, "PREFECT_API_URL": f"http://localhost:{farm.port}/api"}
    done = helios_job("list", "--planned", env=configured)
    assert (done.returncode, "planned for" in done.stdout) == (0, True), done.stderr
    assert farm.new_link() != farm.link


def _has_told_nobody(farm: Farm, family: list[psutil.Process]) -> None:
    """Check that the credential is on no command line, and neither printed nor logged."""
    secret = farm.auth.partition(":")[2]
    assert len(secret) >= 40
    assert not [process for process in family if secret in " ".join(process.cmdline())]
    assert secret not in "".join(farm.said)
    assert secret not in (farm.home / "helios-job-server.log").read_text()


ENDS: dict[str, Callable[[Farm], None]] = {
    "killed": lambda farm: farm.process.kill(),
    "its terminal is closed": lambda farm: os.killpg(farm.process.pid, signal.SIGHUP),
    "its server is killed": lambda farm: _server_of(farm).kill(),
}


def _server_of(farm: Farm) -> psutil.Process:
    (server,) = (
        one for one in psutil.Process(farm.process.pid).children() if "farm.server.embedded" in " ".join(one.cmdline())
    )
    return server


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ENDS)
def test_nothing_is_left_of_a_farm(tmp_path: Path, how: str) -> None:
    """However `helios-job up` ends, the processes of its jobs end within seconds, those that wait for its API too."""
    farm = Farm(tmp_path / "home")
    try:
        (tmp_path / "notes").mkdir()
        words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
        farm.ask("submit", write_job(tmp_path, make_job([5] * 2, extra=words)))
        until(lambda: list((tmp_path / "notes").iterdir()))
        family = psutil.Process(farm.process.pid).children(recursive=True)
        assert any("prefect.engine" in " ".join(process.cmdline()) for process in family)
        ENDS[how](farm)
        until(lambda: not any(map(is_alive, family)), seconds=60)  # six hours, if they waited for the server
        until(lambda: farm.process.poll() is not None, seconds=60)
        assert "Traceback" not in "".join(farm.said)
    finally:
        farm.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_left_of_a_farm_that_nobody_reads(tmp_path: Path) -> None:
    """When the reader of its output is gone, as in `helios-job up | head -1`, a farm ends in order."""
    home = tmp_path / "home"
    furnish(home)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    script = f"{HELIOS_JOB} up --port {free_port()} 2>&1 | head -3"
    done = subprocess.run(
        ["sh", "-c", script], env={**own, **READY, "PREFECT_HOME": str(home)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("Starting Prefect")
    assert not [one for one in psutil.process_iter() if _has_home(one, home)]


def _has_home(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get("PREFECT_HOME") == str(home) and is_alive(process)
    except psutil.Error:
        return False
