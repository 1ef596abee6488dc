"""Log rules on a worker elsewhere: of the request, and of the document."""

from pathlib import Path

import pytest

from helios.errors import Failure
from helios.job.attempts import attempt_url
from helios.models.invocation import ChunkRequest
from helios.models.log_rules import LogRules
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings
from testbed.jobs import make_job
from tests.helios.worker.stored import store_job, store_script

SAYS = "print('Error: no licence left', flush=True)"


@pytest.mark.parametrize(
    ("rules", "kind"),
    [(LogRules(failure=("Error: *",)), Failure.COMMAND), (LogRules(environment=("*licence*",)), Failure.UNAVAILABLE)],
)
async def test_a_worker_heeds_the_rules_of_a_request(tmp_path: Path, rules: LogRules, kind: Failure) -> None:
    """A command that exits with 0 and says that it failed is a failure of the kind that the rule names."""
    storage = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    runtime = WorkerRuntime(WorkerSettings(job_prefixes=(storage.url,), folder=tmp_path / "worker"))
    url = store_script(storage, SAYS).job_url
    assert url is not None
    answer = await runtime.run(ChunkRequest(job_path=url, attempt_url=attempt_url(url, 1), log_rules=rules))
    assert answer.error is not None
    assert (answer.error.failure, answer.artifact) == (kind, None)
    assert "Error: no licence left" in answer.error.message


async def test_a_worker_heeds_the_rules_of_a_document(tmp_path: Path) -> None:
    """A document that is given to a worker by hand has its own rules."""
    storage = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    runtime = WorkerRuntime(WorkerSettings(job_prefixes=(storage.url,), folder=tmp_path / "worker"))
    job = make_job([1], logRules={"failure": ["Error: *"]})
    job["chunks"][0]["command"] = "echo 'Error: no camera'"
    url = store_job(storage, job)
    answer = await runtime.run(ChunkRequest(job_path=url, attempt_url=attempt_url(url, 1)))
    assert answer.error is not None
    assert "Error: no camera" in answer.error.message
