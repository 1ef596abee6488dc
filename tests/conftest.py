"""Fixtures for all tests: a Prefect server, the clouds' stand-ins, and the processes that a test has left."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

# Set before Prefect is imported, so that the tests neither read nor write the user's own Prefect home.
os.environ["PREFECT_HOME"] = tempfile.mkdtemp(prefix="helios-tests-")
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_WORKER_QUERY_SECONDS"] = "1"
os.environ.pop("PREFECT_API_URL", None)
os.environ.pop("PREFECT_API_AUTH_STRING", None)
os.environ["SVT_LOG"] = "1"
os.environ["HELIOS_ALLOW_INLINE"] = "yes"  # workers of the tests' server take documents from the tests
# Some tests run a task outside a flow.
os.environ["PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW"] = "ignore"

import psutil
import pytest
from hypothesis import settings
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings import temporary_settings

from farm.server.connect import prefect_server
from testbed.cloud.aws import Aws, aws
from testbed.cloud.google import Google, google_cloud
from testbed.prefect_home import READY, SHARED, furnish, shared_folder

# All of pytest's processes share one folder: the first process makes it, and removes it.
_MADE_HERE = SHARED not in os.environ
shared_folder()
os.environ.update(READY)

LONGEST = (
    "own_farm/test_deaths", "flows/test_render", "flows/test_remote", "flows/test_batch_control", "cli/test_up",
    "flows/test_template", "flows/test_resume", "flows/test_priority", "flows/test_places", "page/test_page",
    "own_farm/test_kubernetes", "cli/test_screen", "adapters/test_faults", "flows/test_batch", "flows/test_inputs",
    "tests/test_deployment", "flows/test_budget", "flows/test_control", "flows/test_cache", "cli/test_run",
    "worker/test_runtime", "cli/test_look", "flows/test_verify_levels", "flows/test_image_videos", "farm/test_api",
    "cli/test_run_server", "flows/test_schedules", "own_farm/test_images", "flows/test_images", "flows/test_counts",
    "cli/test_encode", "flows/test_notifications", "flows/test_audit", "flows/test_two_jobs",
    "flows/test_deployment_parameters", "cli/test_control", "browser/test_foreign_page", "own_farm/test_contract",
    "flows/test_images_after_death", "cli/test_farm", "media/test_stitching", "own_farm/test_machines",
    "flows/test_run_page",
)  # fmt: skip
"""Files whose tests take more than half a minute together, the longest first."""

settings.register_profile("steady", deadline=None, max_examples=60)
settings.load_profile("steady")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first, beside the others, and not alone after them."""
    rank = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(f"{item.path.parent.name}/{item.path.stem}", len(LONGEST)))


def pytest_unconfigure() -> None:
    if _MADE_HERE:
        shutil.rmtree(shared_folder(), ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_api() -> Iterator[str]:
    """The address of a real Prefect server that lives as long as the tests, on a database of its own.

    This process and its children have the credential in their environment; `client_headers` are for requests by hand.
    """
    furnish(Path(os.environ["PREFECT_HOME"]))
    with prefect_server() as own:
        assert own is not None
        os.environ.update(own.client_environment)
        with temporary_settings(own.client_settings):
            yield own.url
        for name in own.client_environment:
            del os.environ[name]


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """Prefect's client."""
    async with get_client() as client:
        yield client


@pytest.fixture
def processes_of() -> "ProcessesOf":
    """Finds the processes whose command line names a path."""
    return ProcessesOf()


class ProcessesOf:
    """Finds living processes whose command line names a path, such as those of one test's chunks."""

    def __call__(self, path: Path) -> list[psutil.Process]:
        """Return the processes that live now."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                alive = process.status() != psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if alive and process.pid != os.getpid() and any(str(path) in word for word in words):
                found.append(process)
        return found


@pytest.fixture(scope="session")
def _amazon() -> Iterator[Aws]:
    with aws(log=Path(os.environ["PREFECT_HOME"], "aws.log")) as cloud:
        yield cloud


@pytest.fixture
def amazon(_amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """S3 and Lambda on loopback; this process finds them by its environment."""
    for name, value in _amazon.environment.items():
        monkeypatch.setenv(name, value)
    return _amazon


@pytest.fixture(scope="session")
def _google() -> Iterator[Google]:
    # A token is renewed 225 s before its end: a lifetime of 230 s makes the tests meet many renewals.
    with google_cloud(lifetime_seconds=230, log=Path(os.environ["PREFECT_HOME"], "google.log")) as cloud:
        yield cloud


@pytest.fixture
def google(_google: Google, monkeypatch: pytest.MonkeyPatch) -> Google:
    """Cloud Storage, Cloud Run and identities on loopback; this process finds them by its environment."""
    for name, value in _google.environment.items():
        monkeypatch.setenv(name, value)
    return _google
