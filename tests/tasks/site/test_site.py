"""The two kinds of site keep one contract: they order from the adapter, and bring the output to its place."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import create_adapter
from adapters.local import LocalAdapter
from helios.errors import OutputError
from helios.job.directory import JobDirectory
from helios.job.source import load_job_spec
from helios.models.invocation import ChunkAnswer
from helios.models.spec import JobSpec
from helios.models.worker import WorkerResult
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from tasks.site import Attempt, Site, shares_disk, site_of
from testbed.cloud.aws import Aws
from testbed.jobs import make_job


def attempt_at(folder: Path, command: str | None = None) -> Attempt:
    """The first attempt of a job's second chunk."""
    chunk = load_job_spec(make_job()).ordered_chunks[1]
    chunk = chunk.model_copy(update={"command": command}) if command else chunk
    output = folder / chunk.output_file
    private = output.with_name("chunk 1-attempt-x.mp4")
    return Attempt(chunk, position=1, number=1, output=output, private=private, timeout_seconds=7.0)


def local_site(folder: Path) -> Site:
    spec = load_job_spec(make_job())
    return site_of(LocalAdapter(), name="job", spec=spec, source="job.json", directory=JobDirectory(folder), written=())


async def test_a_command_on_this_disk_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    """A command that names its output writes to the attempt's file; the order has directory, limits and position."""
    order = await local_site(tmp_path).order(attempt_at(tmp_path))
    assert order.place == tmp_path / "chunk 1-attempt-x.mp4"
    assert order.job.args[3] == "chunk 1-attempt-x.mp4"
    assert (order.job.cwd, order.job.job_url, order.job.chunk_index) == (str(tmp_path), "job.json", 1)
    assert order.job.timeout_seconds == 7.0


async def test_a_command_that_does_not_name_its_output_writes_to_it(tmp_path: Path) -> None:
    """A command that does not name its output writes to it; what is there stays until the caller makes way."""
    attempt = attempt_at(tmp_path, "sh render.sh")
    attempt.output.write_bytes(b"old")
    order = await local_site(tmp_path).order(attempt)
    assert order.place == attempt.output
    assert attempt.output.read_bytes() == b"old"


async def test_workers_elsewhere_get_a_document_and_give_the_output_back(tmp_path: Path, amazon: Aws) -> None:
    """An order for remote workers names the chunk's own document; an answer without an artifact is refused."""
    (tmp_path / "scene.txt").write_text("an input file")
    adapter = create_adapter(amazon.config)[1]
    spec = load_job_spec(make_job())
    site = site_of(adapter, name="job", spec=spec, source=None, directory=JobDirectory(tmp_path), written=())
    begun: list[str] = []
    lines: list[str] = []
    await site.open("job-1", "token", tell=lines.append, on_upload=lambda: begun.append("uploading"), known={})
    assert begun == ["uploading"]
    assert lines[-1].startswith("1 input files are in storage; the run's folder is s3://")
    attempt = attempt_at(tmp_path)
    order = await site.order(attempt)
    assert order.place == attempt.private
    document = order.job.job_url
    assert document is not None
    assert document.endswith("/jobs/job-1/token/chunk-1/job.json")
    with pytest.raises(OutputError, match="named no output in storage"):
        await site.collect(WorkerResult(exit_code=0), order.place)
    assert (await site.order(replace(attempt, number=2))).job.job_url == document
    assert order.job.verify is attempt.level
    assert await site.clean("job-1") == 2  # the list of input files, and the document


def test_only_workers_on_this_machine_share_its_disk(amazon: Aws) -> None:
    """Only local workers see this machine's disk, on which a merge command needs the chunk outputs."""
    assert shares_disk(LocalAdapter())
    assert not shares_disk(create_adapter(amazon.config)[1])


async def test_a_worker_that_states_no_level_has_verified_nothing(tmp_path: Path) -> None:
    """The output of an earlier version's worker, which states no level, is verified here; so is a later level."""
    storage = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    adapter = create_adapter({"type": "cloud-run", "storage": storage.url, "service_url": "http://127.0.0.1:1"})[1]
    site = site_of(
        adapter, name="job", spec=load_job_spec(make_job()), source=None, directory=JobDirectory(tmp_path), written=()
    )
    (tmp_path / "out.mp4").write_bytes(b"output")
    artifact = await storage.upload(tmp_path / "out.mp4", "out.mp4")
    answer = {"exitCode": 0, "artifact": artifact.model_dump(), "timings": {"verifyMs": 5}, "frames": 1}
    for stated, level in ({}, "container"), ({"verified": "decode"}, "decode"), ({"verified": "x-ray"}, "container"):
        ended = ChunkAnswer.model_validate(answer | stated).to_result("the worker")
        assert await site.collect(ended, tmp_path / "here.mp4") == level


async def test_a_document_s_folder_in_the_job_directory(tmp_path: Path) -> None:
    """Where the document lies below the job directory, commands run in its folder, here and on workers elsewhere."""
    for folder in ("jobs", "renders"):
        (tmp_path / folder).mkdir()
    directory = JobDirectory(tmp_path, base=tmp_path / "jobs")
    job = make_job((1,), name="../renders/part {index}")
    spec = load_job_spec_above(tmp_path / "jobs/j.json", job)
    (chunk,) = spec.chunks
    output = directory.output(chunk.output_file)
    assert output == tmp_path / "renders/part 0.mp4"
    attempt = Attempt(chunk, position=0, number=1, output=output, private=output.with_name("own.mp4"))
    here = site_of(LocalAdapter(), name="job", spec=spec, source=None, directory=directory, written=())
    order = await here.order(attempt)
    assert (order.job.cwd, order.job.job_dir) == (str(tmp_path / "jobs"), str(tmp_path))
    assert "../renders/own.mp4" in order.job.args
    storage = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    adapter = create_adapter({"type": "cloud-run", "storage": storage.url, "service_url": "http://127.0.0.1:1"})[1]
    site = site_of(adapter, name="job", spec=spec, source=None, directory=directory, written=())
    await site.open("job", "token", tell=print, on_upload=lambda: None, known={})
    document = await storage.read(storage.key_of(str((await site.order(attempt)).job.job_url)), limit=10**6)
    (sent,) = json.loads(document or b"")["chunks"]
    assert sent["outputFile"] == "renders/part 0.mp4"
    assert shlex.split(sent["command"])[:4] == ["sh", "-c", 'mkdir -p "$0" && cd "$0" && exec "$@"', "jobs"]


def load_job_spec_above(path: Path, job: dict[str, Any]) -> JobSpec:
    """Read a document whose paths lead one folder up."""
    path.write_text(json.dumps(job))
    return load_job_spec(str(path), levels=1)
