"""`helios-job run` on workers elsewhere."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.cloud.aws import BUCKET, Aws
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, here


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.slow
async def test_a_job_by_lambda_into_a_bucket(amazon: Aws, tmp_path: Path) -> None:
    """Lambda renders a stored document into a stored video, with settings in the environment and a report on stdout."""
    documents = Storage(StorageSettings(url=f"s3://{BUCKET}/cli"))
    await documents.write("job.json", write_job(tmp_path, make_job((10, 10))).read_bytes())
    settings = {name: value for name, value in amazon.config.items() if name != "type"} | {"assets": []}
    video = f"s3://{BUCKET}/cli/video.mp4"
    done = subprocess.run(
        [HELIOS_JOB, "run", f"s3://{BUCKET}/cli/job.json", "--adapter", "aws-lambda", "--output", video, "--json"],
        env={**os.environ, "HELIOS_AWS_LAMBDA_CONFIG": json.dumps(settings)},
        capture_output=True, text=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["state"], report["output"], report["frames"]) == ("completed", video, 20)
    assert report["chunks"][1]["worker"]["renderMs"] > 0
    await documents.download("video.mp4", tmp_path / "back.mp4")
    assert read_numbers(tmp_path / "back.mp4") == list(range(20))


def test_settings_that_can_t_be(amazon: Aws, tmp_path: Path) -> None:
    """Wrong settings exit with 2 and say what was expected, without quoting a secret."""
    job = write_job(tmp_path, make_job())
    for settings, says in (
        ("{}", "storage: missing"),
        ('{"storage": "renders"}', "expected a storage URL"),
        ('{"storage": "s3://b", "mode": "later"}', "'sync' or 'async'"),
        ('{"storage": "s3://b", "credentials": {"access_key_id": "a", "secret_access_key": 4711}}', "not shown"),
        ('["s3://b", "4711"]', "no object"),
        ("@nowhere.json", "can't be read"),
    ):
        done = here("run", job, "--adapter", "aws-lambda", "--adapter-config", settings, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert "4711" not in done.stderr
