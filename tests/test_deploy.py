"""The workers' deployment files, checked by the platforms' rules as far as that is possible without the platforms."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from helios.worker.settings import WorkerSettings

DEPLOY = Path(__file__).parents[1] / "deploy"
VARIABLES = {f"HELIOS_{field.name.upper()}" for field in fields(WorkerSettings)} | {"HELIOS_WORKER_NAME"}


def test_the_template_is_sound() -> None:
    """cfn-lint, with all of its rules, finds no fault in the template."""
    cfn_lint = str(Path(sys.executable).with_name("cfn-lint"))
    done = subprocess.run(
        [cfn_lint, str(DEPLOY / "aws" / "template.yaml")], capture_output=True, text=True, timeout=300
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.*")), ids=lambda path: path.name)
def test_settings_that_are_named_exist(path: Path) -> None:
    """Every variable of the worker that a file sets is one that the worker reads."""
    named = set(re.findall(r"\bHELIOS_[A-Z_]+\b", path.read_text())) - {
        "HELIOS_AWS_LAMBDA_CONFIG", "HELIOS_CLOUD_RUN_CONFIG", "HELIOS_CLOUD_RUN_JOB_CONFIG",
    }  # fmt: skip
    assert named <= VARIABLES


def test_the_deployments_set_what_a_worker_needs() -> None:
    """Each deployment names at least the places that jobs may come from."""
    for path in (DEPLOY / "aws" / "template.yaml", DEPLOY / "gcp" / "service.yaml", DEPLOY / "gcp" / "job.yaml"):
        assert "HELIOS_JOB_PREFIXES" in path.read_text(), path


@pytest.mark.parametrize("folder", ["aws", "gcp"])
def test_the_image_can_be_built_from_the_checkout(folder: str, tmp_path: Path) -> None:
    """What the Dockerfile copies exists, and its packages are optional dependencies of the project."""
    root = DEPLOY.parent
    text = (DEPLOY / folder / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for word in line.split()]
    assert copied
    for name in copied:
        assert (root / name).exists(), name
    extras = re.search(r"^ARG EXTRAS=(.*)$", text, re.M)
    assert extras is not None
    project = (root / "pyproject.toml").read_text()
    for extra in [*extras[1].split(","), *(["service"] if folder == "gcp" else [])]:
        assert f"\n{extra} = [" in project


def test_the_handlers_are_where_they_are_named() -> None:
    """The function's handler and the container's entry point exist."""
    assert 'CMD ["helios.worker.aws_lambda.handler"]' in (DEPLOY / "aws" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "helios.worker"]' in (DEPLOY / "gcp" / "Dockerfile").read_text()
    script = "import helios.worker.aws_lambda as a, helios.worker.__main__; print(callable(a.handler))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout == "True\n"


def test_services_and_jobs() -> None:
    """The platform does not retry, an instance renders one chunk, and the service's health check is the worker's."""
    service = yaml.safe_load((DEPLOY / "gcp" / "service.yaml").read_text())
    spec = service["spec"]["template"]["spec"]
    environment = {variable["name"]: variable["value"] for variable in spec["containers"][0]["env"]}
    assert str(spec["containerConcurrency"]) == environment["HELIOS_CHUNKS_AT_ONCE"] == "1"
    assert spec["containers"][0]["startupProbe"]["httpGet"]["path"] == "/health"
    job = yaml.safe_load((DEPLOY / "gcp" / "job.yaml").read_text())
    assert job["spec"]["template"]["spec"]["template"]["spec"]["maxRetries"] == 0
    assert {rule["action"]["type"] for rule in json.loads((DEPLOY / "gcp" / "lifecycle.json").read_text())["rule"]} == {
        "Delete", "AbortIncompleteMultipartUpload",
    }  # fmt: skip


def test_the_script_is_sound(tmp_path: Path) -> None:
    """The script prints its usage and fills in every name; gcloud and docker are stand-ins that record their calls."""
    script = DEPLOY / "gcp" / "deploy.sh"
    usage = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=30)
    assert usage.returncode == 2
    assert "PROJECT REGION BUCKET ORCHESTRATOR" in usage.stderr
    for name in ("gcloud", "docker"):
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\ncase "$*" in *" -") cat >> {tmp_path}/filled;; esac\n'
        )
        program.chmod(0o755)
    path = f"{tmp_path}:{Path(shutil.which('git') or '').parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", str(script), "my-project", "europe-west1", "my-bucket", "user:me@example.com"],
        capture_output=True, text=True, timeout=300, env={"PATH": path, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    filled = (tmp_path / "filled").read_text()
    assert not re.search(r"\b(PROJECT|IMAGE|BUCKET)\b", re.sub("#.*", "", filled))
    assert "gs://my-bucket/farm" in filled
    assert "helios-worker@my-project.iam.gserviceaccount.com" in filled
    assert '"job": "projects/my-project/locations/europe-west1/jobs/helios-worker"' in done.stdout
    assert (tmp_path / "calls").read_text().count("add-iam-policy-binding") == 4
