"""The services of Amazon's cloud that a render needs, on loopback."""

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import psutil

from testbed.cloud.processes import ROOT, running

BUCKET = "renders"
FUNCTION = "helios-worker"
WRONG_CLOCK = ROOT / "testbed" / "cloud" / "wrong_clock"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}  # pragma: allowlist


@dataclass(frozen=True)
class Faulty:
    """A stand-in's controls."""

    url: str
    """Its address."""
    pid: int | None = None
    """Its process."""

    def kill(self) -> None:
        """End it and its instances at once, as a machine ends that loses its power."""
        service = psutil.Process(self.pid)
        for process in (service, *service.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def want(self, kind: str, times: int = 1) -> None:
        """Make the next calls meet a fault."""
        body = json.dumps({"kind": kind, "times": times}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/faults", body), timeout=10).close()

    def state(self) -> Any:
        """What it has seen, and which faults fired."""
        with urllib.request.urlopen(f"{self.url}/state", timeout=10) as answer:
            return json.load(answer)

    @property
    def worked(self) -> list[float]:
        """Milliseconds of each execution on a worker that has ended, as a platform would measure it for its bill."""
        return [float(milliseconds) for milliseconds in self.state()["worked"]]

    def fired(self, kind: str) -> int:
        """How often a fault happened."""
        return int(self.state()["fired"].get(kind, 0))

    def seen(self, name: str) -> int:
        """How often a call was counted under this name."""
        return int(self.state()["seen"].get(name, 0))


@dataclass(frozen=True)
class Aws:
    """Running stand-ins of Amazon's services."""

    storage_url: str
    """A folder in a bucket."""
    functions: Faulty
    """Lambda."""
    storage: Faulty
    """S3."""
    environment: Mapping[str, str]
    """Variables that its callers need."""

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the adapter aws-lambda."""
        return {"type": "aws-lambda", "storage": self.storage_url, "function": FUNCTION, "poll_seconds": 0.2}


@contextmanager
def aws(
    *, concurrency: int = 4, timeout: int = 120, log: Path | None = None, worker: Mapping[str, str] | None = None
) -> Iterator[Aws]:
    """Run S3 and Lambda within the block.

    Args:
        concurrency: Instances of the function; more invocations are throttled.
        timeout: The function's time limit, in seconds.
        log: Where the stand-ins' errors go.
        worker: Further variables of the function.
    """
    with running("testbed.cloud.object_storage", log=log) as storage:
        environment = {**KEYS, "AWS_ENDPOINT_URL_S3": storage["url"], "AWS_ENDPOINT_URL": storage["url"]}
        make_bucket(storage["url"])
        url = f"s3://{BUCKET}/farm"
        inside = {
            **environment,
            "HELIOS_JOB_PREFIXES": url,
            "HELIOS_CANCEL_POLL_SECONDS": "0.3",
            "HELIOS_GRACE_SECONDS": "1",
            "HELIOS_COMMAND_ENV": "PYTHONPATH",
            **(worker or {}),
        }
        functions = {
            FUNCTION: {"concurrency": concurrency, "timeout": timeout, "env": inside},
            "wrong-clock": {"concurrency": 2, "env": {**inside, "PYTHONPATH": f"{WRONG_CLOCK}:{ROOT}"}},
            "broken": {"concurrency": 1, "handler": "helios.no_such_module.handler", "env": inside},
            "of-helios": {"concurrency": 1, "handler": "testbed.cloud.helios_worker.handler",
                          "env": {**inside, "PYTHONPATH": os.getcwd()}},
        }  # fmt: skip
        with running("testbed.cloud.lambda_service", settings={"functions": functions}, log=log) as service:
            outside = {**environment, "AWS_ENDPOINT_URL_LAMBDA": service["url"]}
            yield Aws(url, Faulty(service["url"], service["pid"]), Faulty(storage["url"], storage["pid"]), outside)


def make_bucket(endpoint: str) -> None:
    """Make the bucket."""
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1",
                      aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    s3.create_bucket(Bucket=BUCKET)
    s3.close()
