"""The flow with remote workers: the same job becomes the same exact video."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect_aws import AwsCredentials, S3Bucket

from adapters import create_adapter
from adapters.aws_lambda import AwsLambdaConfig
from flows.render import render_job
from helios.adapter import StorageAdapter
from helios.models.report import JobReport, RunState
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from tasks.request.adapter_blocks import AwsLambda
from testbed.cloud.aws import BUCKET, Aws
from testbed.cloud.google import Google
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.conftest import ProcessesOf
from tests.running import eventually, leftovers, render

pytestmark = pytest.mark.usefixtures("prefect_api")

# The test of input files below renders by a Cloud Run service, too.
CONFIGS = ["aws-lambda", "aws-lambda-events", pytest.param("cloud-run", marks=pytest.mark.slow), "cloud-run-job"]


@pytest.fixture
def config(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """The configuration of each remote adapter."""
    if request.param.startswith("aws-lambda"):
        amazon: Aws = request.getfixturevalue("amazon")
        return {**amazon.config, "mode": "async" if request.param.endswith("events") else "sync"}
    google: Google = request.getfixturevalue("google")
    return google.service_config if request.param == "cloud-run" else google.job_config


def storage_of(config: Mapping[str, Any]) -> Storage:
    """The storage of a configuration."""
    adapter = create_adapter(config)[1]
    assert isinstance(adapter, StorageAdapter)
    return adapter.storage


async def left_in_storage(config: Mapping[str, Any], report: JobReport) -> list[str]:
    """The keys that a run has left in storage."""
    return [entry.key async for entry in storage_of(config).entries("jobs") if report.run_id in entry.key]


def pictures(path: Path) -> str:
    """A digest of all decoded frames."""
    digest = hashlib.sha256()
    with av.open(str(path)) as video:
        for frame in video.decode(video=0):
            digest.update(frame.to_ndarray().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def rendered_here() -> dict[int, str]:
    """Digests of the video that processes on this machine have rendered, by its number of chunks."""
    return {}


@pytest.mark.parametrize("chunks", [4, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("config", CONFIGS, indirect=True)
async def test_the_same_video(
    config: Mapping[str, Any], chunks: int, rendered_here: dict[int, str], tmp_path: Path
) -> None:
    """Remote workers render the same frames as processes on this machine, and storage is left as it was found."""
    job = make_job((5,) * chunks, outputFile="video.mp4")
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (there / "scene.txt").write_text("an input file")
    if chunks not in rendered_here:
        await render(here, job)
        rendered_here[chunks] = pictures(here / "video.mp4")
    state, report = await render(there, job, adapter=config, concurrency=min(chunks // 2, 4))
    assert state.is_completed(), state.message
    assert read_numbers(there / "video.mp4") == list(range(5 * chunks))
    assert pictures(there / "video.mp4") == rendered_here[chunks]
    assert [chunk.attempts for chunk in report.chunks] == [1] * chunks
    assert [chunk.id for chunk in report.chunks if chunk.worker and chunk.worker.render_ms] == list(range(chunks))
    assert await left_in_storage(config, report) == []
    assert leftovers(there) == []


async def test_outputs_arrive_while_others_render(amazon: Aws, tmp_path: Path) -> None:
    """An accepted output arrives here long before the last chunk is done."""
    gate = tmp_path / "gate"
    job = make_job((10, 10, 10), extra=["--misbehave", f"until:{gate}", "--only", "20"], outputFile="video.mp4")
    work = asyncio.create_task(render(tmp_path, job, adapter=amazon.config, concurrency=3))

    async def are_here() -> bool:
        assert not work.done(), work.result()
        return (tmp_path / "chunk 0.mp4").exists() and (tmp_path / "chunk 1.mp4").exists()

    await eventually(are_here)
    assert not (tmp_path / "chunk 2.mp4").exists()
    gate.mkdir()
    (gate / "all").touch()
    _, report = await work
    assert report.state is RunState.COMPLETED


async def test_the_video_goes_where_the_job_says(amazon: Aws, tmp_path: Path) -> None:
    """A video whose output is in storage is uploaded when it is whole, and not kept here."""
    url = f"s3://{BUCKET}/videos/a film.mp4"
    _, report = await render(tmp_path, make_job(), adapter=amazon.config, output_file=url)
    assert report.output == "s3://renders/videos/a%20film.mp4"
    videos = Storage(StorageSettings(url=f"s3://{BUCKET}/videos"))
    await videos.download("a film.mp4", tmp_path / "back.mp4")
    assert read_numbers(tmp_path / "back.mp4") == list(range(30))
    kept = [path for path in (tmp_path / ".helios").rglob("*.mp4") if "watch" not in path.parts]
    assert kept == []  # beside what players take


async def test_a_place_that_there_is_not_is_refused_at_once(amazon: Aws, tmp_path: Path) -> None:
    """A missing bucket, or a name without a video's extension, is refused before anything is rendered."""
    path = write_job(tmp_path, make_job())
    for url, says in (("s3://no-such-bucket/v.mp4", "does not exist"), (f"s3://{BUCKET}/v.txt", "v.txt")):
        state: State[Any] = await render_job(str(path), adapter=amazon.config, output_file=url, return_state=True)
        assert state.is_failed()
        assert says in str(state.message)
    assert not list(tmp_path.glob("*.mp4"))


async def test_objects_are_kept_where_that_is_wanted(amazon: Aws, tmp_path: Path) -> None:
    """Objects are kept if the configuration says so, and after a failed job, since its logs are there."""
    keeping = {**amazon.config, "keep_objects": True}
    _, report = await render(tmp_path, make_job((10, 10)), adapter=keeping)
    kept = await left_in_storage(keeping, report)
    assert len([key for key in kept if key.endswith("output.mp4")]) == 2
    _, report = await render(tmp_path, make_job((10,), extra=["--misbehave", "exit:7"]), adapter=amazon.config)
    assert report.state is RunState.FAILED
    assert [key for key in await left_in_storage(amazon.config, report) if key.endswith("log.jsonl")]


async def test_a_failure_is_told_as_if_it_were_here(amazon: Aws, tmp_path: Path) -> None:
    """A remote failure is reported with chunk, attempt, exit code, last lines, and the whole output in a file."""
    job = make_job((10, 10), extra=["--misbehave", "exit:7", "--only", "10"])
    state, report = await render(tmp_path, job, adapter=amazon.config, retries=1)
    assert "chunk 1 (frames 10 to 19), attempt 2: python" in str(state.message)
    assert "exited with code 7" in str(state.message)
    assert "the scene can't be loaded: é" in str(state.message)
    log = tmp_path / ".helios" / "logs" / report.run_id / "chunk-1.attempt-2.log"
    assert log.read_text() == "about to fail\nthe scene can't be loaded: é\n"


async def test_faults_cost_attempts_and_not_frames(amazon: Aws, tmp_path: Path) -> None:
    """Throttling, a killed worker and lost answers cost attempts, not frames, and no finished chunk is repeated."""
    notes = tmp_path / "notes"
    notes.mkdir()
    faults = {"throttle": 3, "kill": 1, "lose-answer": 2}
    before = {kind: amazon.functions.fired(kind) for kind in faults}
    for kind, times in faults.items():
        amazon.functions.want(kind, times)
    job = make_job((5,) * 12, extra=["--notes", str(notes), "--misbehave", "slow:1.5"], outputFile="video.mp4")
    config = {**amazon.config, "answer_wait_seconds": 2}
    _, report = await render(tmp_path, job, adapter=config, concurrency=3)
    assert report.state is RunState.COMPLETED, report.error
    assert read_numbers(tmp_path / "video.mp4") == list(range(60))
    assert {kind: amazon.functions.fired(kind) - before[kind] for kind in faults} == faults
    # Three throttled and one killed attempt were made again; a lost answer was found.
    assert sum(chunk.attempts for chunk in report.chunks) == 12 + 4
    assert 12 <= len(list(notes.iterdir())) <= 13


async def test_input_files_reach_the_commands(google: Google, tmp_path: Path) -> None:
    """Only the input files that patterns select reach the commands; a pattern that finds no file is refused."""
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "data").write_text("x")
    (tmp_path / "secret").write_text("x")
    job = make_job((10,))
    command = job["chunks"][0]["command"].replace("'", "'\\''")
    job["chunks"][0]["command"] = f"sh -c 'test -f scene/data && test ! -f secret && {command}'"
    _, report = await render(tmp_path, job, adapter={**google.service_config, "assets": ["scene/**"]})
    assert report.state is RunState.COMPLETED, report.error
    state: State[Any] = await render_job(
        str(write_job(tmp_path, job)), adapter={**google.service_config, "assets": ["*.exr"]}, return_state=True
    )
    assert "'*.exr' finds no file" in str(state.message)


async def test_the_merge_command_runs_here(amazon: Aws, tmp_path: Path) -> None:
    """The merge command runs here, where the outputs are; a remote merge adapter is refused."""
    merge = 'sh -c \'cat "chunk 0.mp4" "chunk 1.mp4" > merged\''
    _, report = await render(tmp_path, make_job((10, 10), mergeCommand=merge), adapter=amazon.config)
    assert report.state is RunState.COMPLETED, report.error
    sizes = [(tmp_path / f"chunk {n}.mp4").stat().st_size for n in range(2)]
    assert (tmp_path / "merged").stat().st_size == sum(sizes)
    state: State[Any] = await render_job(
        str(tmp_path / "job.json"), adapter=amazon.config, merge_adapter=amazon.config, return_state=True
    )
    assert "name local" in str(state.message)


async def test_a_job_document_in_storage(amazon: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job can be named by its document's URL; its outputs then lie in the current directory."""
    monkeypatch.chdir(tmp_path)
    storage = Storage(StorageSettings(url=f"s3://{BUCKET}/documents"))
    path = write_job(tmp_path, make_job(outputFile="video.mp4"))
    await storage.write("job.json", path.read_bytes())
    path.unlink()
    state: State[Any] = await render_job(f"s3://{BUCKET}/documents/job.json", adapter=amazon.config, return_state=True)
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


async def test_a_cancelled_job_leaves_no_command(amazon: Aws, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Lambda can't cancel an invocation: workers find a note in storage, and stop their commands."""
    job = make_job((10, 10, 10), extra=["--misbehave", "hang-hard", "--notes", str(tmp_path)])
    work = asyncio.create_task(render(tmp_path, job, adapter=amazon.config, concurrency=3))
    deadline = time.monotonic() + 120
    while len(processes_of(tmp_path)) < 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    work.cancel()
    _, report = await work
    assert report.state is RunState.CANCELLED
    assert processes_of(tmp_path) == []


# -- blocks --


@pytest.mark.slow
async def test_a_saved_configuration(amazon: Aws, tmp_path: Path) -> None:
    """A run can name a block, in which storage and keys may be blocks of prefect-aws; Prefect shows no secret."""
    endpoint = amazon.environment["AWS_ENDPOINT_URL_S3"]
    keys = AwsCredentials.model_validate(
        {"aws_access_key_id": "test", "aws_secret_access_key": "hush-hush", "region_name": "us-east-1",
         "aws_client_parameters": {"endpoint_url": endpoint}}
    )  # fmt: skip
    await keys.save("farm", overwrite=True)
    bucket = S3Bucket(bucket_name=BUCKET, bucket_folder="farm", credentials=keys)
    await bucket.save("renders", overwrite=True)
    block = AwsLambda.model_validate(
        {"storage": bucket, "credentials": keys, "endpoint": amazon.environment["AWS_ENDPOINT_URL_LAMBDA"]}
    )
    await block.save("production", overwrite=True)
    for choice in (
        "aws-lambda/production",
        {"type": "aws-lambda/production", "keep_objects": True},
        {"type": "aws-lambda", "storage": "block:s3-bucket/renders", "credentials": "block:aws-credentials/farm",
         "endpoint": amazon.environment["AWS_ENDPOINT_URL_LAMBDA"]},
    ):  # fmt: skip
        _, report = await render(tmp_path, make_job((10,)), adapter=choice)
        assert report.state is RunState.COMPLETED, report.error
        async with get_client() as client:
            run = await client.read_flow_run(report.run_id)  # type: ignore[arg-type]
        assert "hush-hush" not in run.model_dump_json()
    async with get_client() as client:
        document = await client.read_block_document_by_name("production", "helios-aws-lambda", include_secrets=False)
    assert "hush-hush" not in document.model_dump_json()


async def test_a_block_that_there_is_not(amazon: Aws, tmp_path: Path) -> None:
    """An unknown block is refused, and the error names it."""
    path = write_job(tmp_path, make_job())
    for choice, says in (
        ("aws-lambda/none", "no block helios-aws-lambda/none"),
        ("local/none", "No blocks are known for the adapter 'local'"),
        ({**amazon.config, "storage": "block:s3-bucket/none"}, "no block s3-bucket/none"),
        ({**amazon.config, "storage": "block:secret/none"}, "expected one of block:s3-bucket/NAME"),
    ):
        state: State[Any] = await render_job(str(path), adapter=choice, return_state=True)
        assert state.is_failed()
        assert says in str(state.message)
    assert list(tmp_path.iterdir()) == [path]


async def test_a_secret_in_a_configuration_is_masked(amazon: Aws, tmp_path: Path) -> None:
    """A configuration given as a model is recorded with its secrets masked."""
    secret = {"access_key_id": "test", "secret_access_key": "hush-hush"}
    config = AwsLambdaConfig.model_validate({**amazon.config, "credentials": secret})
    assert "hush-hush" not in repr(config) + config.model_dump_json()
    _, report = await render(tmp_path, make_job((10,)), adapter=config)
    assert report.state is RunState.COMPLETED, report.error
    async with get_client() as client:
        run = await client.read_flow_run(report.run_id)  # type: ignore[arg-type]
    assert "hush-hush" not in run.model_dump_json()
