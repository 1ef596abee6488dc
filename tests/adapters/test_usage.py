"""What adapters know of what their platforms bill."""

import base64

import pytest
from google.cloud import run_v2

from adapters.aws_lambda import read_bill
from adapters.cloud_run import CloudRunAdapter, CloudRunConfig
from adapters.cloud_run_size import size_of
from helios.usage import Usage, WorkerSize

NAME = "projects/p/locations/europe-west1/jobs/helios-worker"
WARM = (
    "START RequestId: 1 Version: $LATEST\nEND RequestId: 1\nREPORT RequestId: 1\tDuration: 27.55 ms\t"
    "Billed Duration: 28 ms\tMemory Size: 1024 MB\tMax Memory Used: 472 MB\t\n"
)
COLD = (
    "REPORT RequestId: 2\tDuration: 1049.63 ms\tBilled Duration: 2344 ms\tMemory Size: 3008 MB\t"
    "Max Memory Used: 472 MB\tInit Duration: 1293.83 ms\t\n"
)
EMULATED = (
    "REPORT RequestId: 3\tInit Duration: 0.10 ms\tDuration: 613.29 ms\tBilled Duration: 614 ms\t"
    "Memory Size: 2048 MB\tMax Memory Used: 2048 MB\t\n"
)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (WARM, Usage(28, memory_mib=1024)),
        (COLD, Usage(2344, memory_mib=3008)),
        (EMULATED, Usage(614, memory_mib=2048)),
        ("a command printed: REPORT RequestId: 9 Billed Duration: 1 ms\n" + WARM, Usage(28, memory_mib=1024)),
        ("END RequestId: 1", None),
        ("", None),
    ],
)
def test_lambda_s_report(log: str, expected: Usage | None) -> None:
    """The last report in an invocation's log says what is billed, the start of a cold function included."""
    assert read_bill({"LogResult": base64.b64encode(log.encode()).decode()}) == expected


@pytest.mark.parametrize(
    ("limits", "vcpus", "memory"),
    [
        ({"cpu": "2", "memory": "4Gi"}, 2, 4096),
        ({"cpu": "1000m", "memory": "512Mi"}, 1, 512),
        ({"cpu": "0.5", "memory": "2G"}, 0.5, 1907),
        ({"cpu": "many", "memory": "a lot"}, None, None),
        ({}, None, None),
    ],
)
def test_the_size_of_a_job(limits: dict[str, str], vcpus: float | None, memory: int | None) -> None:
    """A Cloud Run job states CPUs and memory in Kubernetes's units; its name has the region."""
    container = run_v2.Container(resources=run_v2.ResourceRequirements(limits=limits))
    task = run_v2.TaskTemplate(containers=[container])
    job = run_v2.Job(name=NAME, template=run_v2.ExecutionTemplate(template=task))
    assert size_of(job) == WorkerSize(vcpus=vcpus, memory_mib=memory, region="europe-west1")


def test_a_job_without_containers() -> None:
    """A job that states nothing has a region all the same."""
    assert size_of(run_v2.Job(name=NAME)) == WorkerSize(region="europe-west1")


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://helios-worker-123456.europe-west3.run.app", "europe-west3"),
        ("https://helios-worker-123456.us-central1.run.app/x", "us-central1"),
        ("https://helios-worker-abcdef-ew.a.run.app", None),
        ("http://127.0.0.1:8080", None),
    ],
)
async def test_the_size_of_a_service(url: str, region: str | None) -> None:
    """A service's size is in the settings; its address names the region, unless it is an old one."""
    config = CloudRunConfig(service_url=url, storage="file:///tmp/none", vcpus=1, memory_gib=0.5)
    adapter = object.__new__(CloudRunAdapter)
    adapter.config = config  # nothing else of it is opened
    assert await adapter.worker_size() == WorkerSize(vcpus=1, memory_mib=512, region=region)
