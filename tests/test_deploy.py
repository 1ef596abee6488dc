"""The workers' deployment files, checked by the platforms' rules as far as that is possible without the platforms."""

import json
import os
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
COMPOSE = DEPLOY / "compose" / "compose.yaml"
VARIABLES = {f"HELIOS_{field.name.upper()}" for field in fields(WorkerSettings)} | {
    "HELIOS_WORKER_NAME", "HELIOS_COMMAND_USER", "HELIOS_ALLOW_INLINE",
}  # fmt: skip


def has_compose() -> bool:
    """Whether Docker's compose is here; its daemon is not needed."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


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


def copied_by(dockerfile: Path) -> list[str]:
    """What a Dockerfile copies, relative to the checkout."""
    found = [word for line in re.findall(r"^COPY (.*) \S+$", dockerfile.read_text(), re.M) for word in line.split()]
    assert found
    assert len(found) == len(set(found)), "something is copied twice"
    for name in found:
        assert (DEPLOY.parent / name).exists(), name
    return found


@pytest.mark.parametrize("folder", ["aws", "gcp"])
def test_the_image_can_be_built_from_the_checkout(folder: str) -> None:
    """What the Dockerfile copies exists, and its packages are optional dependencies of the project."""
    root = DEPLOY.parent
    text = (DEPLOY / folder / "Dockerfile").read_text()
    copied_by(DEPLOY / folder / "Dockerfile")
    extras = re.search(r"'/tmp/helios\[(.*)\]'", text)
    assert extras is not None
    project = (root / "pyproject.toml").read_text()
    for extra in extras[1].split(","):
        assert f"\n{extra} = [" in project


def test_the_image_of_compose_has_what_its_commands_import(tmp_path: Path) -> None:
    """The image's copy of the checkout has every module that the server, a worker and the commands import."""
    for name in copied_by(DEPLOY / "compose" / "Dockerfile"):
        source, place = DEPLOY.parent / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, place)  # with compiled modules, which saves five seconds
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)
    own = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    script = (
        "import sys, cli.main, farm.server.embedded, farm.setup, farm.worker, flows.render, examples.orrery.__main__;"
        f"print([n for n, m in sys.modules.items() if m.__name__.split('.')[0] in {{*{own}, 'testbed', 'tests'}}"
        f" and not str(getattr(m, '__file__', None) or '{tmp_path}').startswith('{tmp_path}')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_compose_builds_once_and_runs_nothing_as_root() -> None:
    """One service builds the image, and no other pulls it; the image's user is not root; workers have the host's."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    own = {name: service for name, service in services.items() if service["image"] == "helios-render"}
    assert {name: service["pull_policy"] for name, service in own.items()} == {
        "server": "build", "deployments": "never", "worker": "never",
    }  # fmt: skip
    assert [name for name, service in services.items() if "build" in service] == ["server"]
    dockerfile = (COMPOSE.parent / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root|0)\w+$", dockerfile, re.M)
    worker = services["worker"]
    assert re.sub(r":\?[^}]*", "", worker["user"]) == "${FARM_UID}:${FARM_GID}"
    assert all(service["cap_drop"] == ["ALL"] for service in services.values())
    assert services["database"]["user"] == "postgres"
    assert worker["environment"]["HELIOS_ALLOW_INLINE"] == "no"
    assert worker["environment"]["HELIOS_JOB_PREFIXES"] == "${RENDERS}"
    (jobs,) = worker["volumes"]
    assert (jobs["source"], jobs["target"], worker["working_dir"]) == ("${RENDERS}",) * 3
    # Prefect makes its UI's files when it starts, by default where only root can write.
    assert services["server"]["environment"]["PREFECT_UI_STATIC_DIRECTORY"].startswith("/tmp/")
    home = services["server"]["volumes"][0].partition(":")[2]
    assert f"install --directory --owner farm {home}" in dockerfile


def test_compose_has_no_variable_that_the_page_does_not_set() -> None:
    """Each variable without a default is in the .env that docs/operations.md makes; each dependency is a service."""
    text = COMPOSE.read_text()
    needed = set(re.findall(r"\$\{(\w+)[^}]*\}", text)) - set(re.findall(r"\$\{(\w+):-", text))
    page = (DEPLOY.parent / "docs" / "operations.md").read_text()
    (made,) = re.findall(r"> deploy/compose/\.env <<EOF\n(.*?)\nEOF\n", page, re.S)
    assert needed == set(re.findall(r"^(\w+)=", made, re.M))
    services = yaml.safe_load(text)["services"]
    for service in services.values():
        assert service.get("depends_on", {}).keys() <= services.keys()


@pytest.mark.skipif(not has_compose(), reason="needs Docker's compose, without its daemon")
def test_compose_itself_takes_the_file(tmp_path: Path) -> None:
    """Docker's compose accepts the file, and fills in the variables; without one of them it says which is missing."""
    variables = {
        "POSTGRES_PASSWORD": "p", "FARM_AUTH": "a:b", "FARM_UID": "1234", "FARM_GID": "5678", "RENDERS": str(tmp_path),
    }  # fmt: skip

    def config(**environment: str) -> "subprocess.CompletedProcess[str]":
        words = ["docker", "compose", "-f", str(COMPOSE), "--env-file", "/dev/null", "config", "--format", "json"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment}
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=env)

    done = config(**variables)
    assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)["services"]["worker"]
    assert (worker["user"], worker["working_dir"]) == ("1234:5678", str(tmp_path))
    for name in variables:
        without = config(**{key: value for key, value in variables.items() if key != name})
        assert without.returncode != 0
        assert f"{name}" in without.stderr


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
    calls = (tmp_path / "calls").read_text()
    assert calls.count("add-iam-policy-binding") == 4
    # The orchestrator can start the job, and not change its image; its role is brought up to date.
    assert "roles/run.developer" not in calls
    (permissions,) = set(re.findall(r"iam roles update heliosOrchestrator.*--permissions=(\S+)", calls))
    assert {"run.jobs.run", "run.jobs.runWithOverrides", "run.executions.cancel"} < set(permissions.split(","))
    assert not any(word in permissions for word in ("create", "update", "delete", "setIamPolicy"))


def test_nobody_reaches_beyond_the_prefix() -> None:
    """On AWS, the worker and the orchestrator may touch and list objects below the prefix, and no others."""

    class Loader(yaml.SafeLoader):
        """Takes CloudFormation's tags for their texts."""

    Loader.add_multi_constructor("!", lambda loader, _, node: str(node.value))
    resources = yaml.load((DEPLOY / "aws" / "template.yaml").read_text(), Loader)["Resources"]  # noqa: S506
    (of_worker,) = (one["PolicyDocument"] for one in resources["WorkerRole"]["Properties"]["Policies"])
    for policy in (of_worker, resources["OrchestratorPolicy"]["Properties"]["PolicyDocument"]):
        rights = {statement["Sid"]: statement for statement in policy["Statement"]}
        assert rights["Objects"]["Resource"] == "${Bucket.Arn}/${Prefix}/*"
        assert rights["Listing"]["Condition"] == {"StringLike": {"s3:prefix": "${Prefix}/*"}}
        assert not [one for one in rights.values() if "s3" in str(one["Action"]) and one["Resource"] == "*"]


def test_images_can_be_pinned_by_digest(tmp_path: Path) -> None:
    """The script adds a registry's digests to every image, and brings them up to date; a stand-in is the registry."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    docker = tmp_path / "docker"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for digit in "ab":
        docker.write_text(f"#!/bin/sh\necho sha256:{digit * 64}\n")
        docker.chmod(0o755)
        subprocess.run([tmp_path / "deploy" / "pin_images.sh"], env=env, check=True, capture_output=True)
        for path in sorted((tmp_path / "deploy").rglob("Dockerfile")):
            (image,) = re.findall(r"^FROM (\S+)$", path.read_text(), re.M)
            assert re.fullmatch(rf"[^@]+:[^@]+@sha256:{digit * 64}", image)
        assert f"image: postgres:17@sha256:{digit * 64}" in (tmp_path / "deploy/compose/compose.yaml").read_text()
    docker.write_text("#!/bin/sh\necho no such image\n")
    assert subprocess.run([tmp_path / "deploy" / "pin_images.sh"], env=env, capture_output=True).returncode == 1
