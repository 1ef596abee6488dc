"""The services of Google's cloud that a render needs, on loopback."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.cloud.aws import Faulty
from testbed.cloud.google_identity import ACCESS_TOKEN, EMAIL, KEY_ID, PROJECT
from testbed.cloud.object_storage import S3_SCOPE
from testbed.cloud.processes import running

BUCKET = "grenders"  # without a hyphen: obstore writes it as %2D, which moto takes for another name
JOB = "projects/p/locations/europe-west1/jobs/helios-worker"


@dataclass(frozen=True)
class Google:
    """Running stand-ins of Google's services."""

    storage_url: str
    """A folder in a bucket."""
    service: Faulty
    """The Cloud Run service."""
    jobs: Faulty
    """Cloud Run jobs."""
    jobs_endpoint: str
    """The address of their API."""
    identity: Faulty
    """The source of tokens."""
    service_account_key: str
    """The text of a service account's key file."""
    environment: Mapping[str, str]
    """Variables that its callers need."""

    @property
    def service_config(self) -> dict[str, Any]:
        """Configuration of the adapter cloud-run."""
        return {"type": "cloud-run", "storage": self.storage_url, "service_url": self.service.url}

    @property
    def job_config(self) -> dict[str, Any]:
        """Configuration of the adapter cloud-run-job."""
        return {"type": "cloud-run-job", "storage": self.storage_url, "job": JOB, "endpoint": self.jobs_endpoint,
                "poll_seconds": 0.2, "gather_seconds": 0.5}  # fmt: skip


@contextmanager
def google_cloud(*, instances: int = 4, lifetime_seconds: int = 3600, log: Path | None = None) -> Iterator[Google]:
    """Run storage, identities, a Cloud Run service and Cloud Run jobs within the block.

    Args:
        instances: Instances of the service, each of which renders one chunk at a time.
        lifetime_seconds: Lifetime of tokens; google-auth asks for the next one 225 s before a token ends.
        log: Where the stand-ins' errors go.
    """
    with (
        running("testbed.cloud.object_storage", settings={"tokens": [ACCESS_TOKEN]}, log=log) as storage,
        running("testbed.cloud.google_identity", settings={"lifetime_seconds": lifetime_seconds}, log=log) as identity,
    ):
        headers = {"authorization": S3_SCOPE}
        made = urllib.request.Request(f"{storage['url']}/{BUCKET}", method="PUT", headers=headers)
        urllib.request.urlopen(made, timeout=30).close()
        host = identity["url"].removeprefix("http://")
        metadata = {"GCE_METADATA_HOST": host, "GCE_METADATA_ROOT": host, "GCE_METADATA_IP": host,
                    "GCE_METADATA_MTLS_MODE": "none", "NO_GCE_CHECK": "false"}  # fmt: skip
        url = f"gs://{BUCKET}/farm"
        inside = {
            "HELIOS_JOB_PREFIXES": url,
            "HELIOS_CANCEL_POLL_SECONDS": "0.3",
            "HELIOS_GRACE_SECONDS": "1",
            "HELIOS_COMMAND_ENV": "PYTHONPATH",
            "GOOGLE_BASE_URL": storage["url"],
            "GOOGLE_BEARER_TOKEN": ACCESS_TOKEN,
        }
        service = {"certs_url": f"{identity['url']}/certs", "instances": instances, "env": inside}
        with (
            running("testbed.cloud.run_service", settings=service, log=log) as front,
            running("testbed.cloud.run_jobs", settings={"jobs": {JOB: inside}}, log=log) as jobs,
        ):
            key = {"type": "service_account", "project_id": PROJECT, "private_key_id": KEY_ID, "client_email": EMAIL,
                   "private_key": identity["private_key"], "token_uri": f"{identity['url']}/token"}  # fmt: skip
            yield Google(
                storage_url=url,
                service=Faulty(front["url"]),
                jobs=Faulty(jobs["url"]),
                jobs_endpoint=jobs["endpoint"],
                identity=Faulty(identity["url"]),
                service_account_key=json.dumps(key),
                environment={**metadata, "GOOGLE_BASE_URL": storage["url"]},
            )
