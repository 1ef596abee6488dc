"""Chunks of images on a worker elsewhere: each image is verified and stored by itself."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from helios.job.attempts import attempt_url, image_frame
from helios.models.invocation import ChunkAnswer, ChunkRequest, Failure
from helios.models.verification import VerifyLevel
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker import outputs
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings
from testbed.images import image_job, image_number
from tests.helios.worker.stored import store_job
from tests.running import eventually


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Storage on disk."""
    return Storage(StorageSettings(url=(tmp_path / "store").as_uri()))


@pytest.fixture
def runtime(tmp_path: Path, storage: Storage) -> WorkerRuntime:
    """A worker."""
    settings = WorkerSettings(
        job_prefixes=(storage.url,), folder=tmp_path / "worker", grace_seconds=0.5, cancel_poll_seconds=0.1
    )
    return WorkerRuntime(settings)


def request_for(storage: Storage, *words: str, **fields: Any) -> ChunkRequest:
    """A request for five images, from frame 3, whose command gets further words."""
    url = store_job(storage, image_job([5], start=3, extra=words, **fields))
    return ChunkRequest(job_path=url, attempt_url=attempt_url(url, 1))


def stored(tmp_path: Path) -> dict[int, int]:
    """By the frames in their names, the numbers that images in storage show."""
    found = {path: image_frame(str(path)) for path in (tmp_path / "store").rglob("*image-*")}
    return {frame: image_number(path) for path, frame in sorted(found.items()) if frame is not None}


def named(answer: ChunkAnswer) -> list[int]:
    """The frames of the images that an answer names."""
    return [] if answer.images is None else sorted(answer.images.known)


async def test_each_image_is_stored(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """The answer has the size and the digest of each image, and where it is."""
    answer = await runtime.run(request_for(storage))
    assert (answer.exit_code, answer.error, answer.verified) == (0, None, VerifyLevel.DECODE)
    assert answer.images is not None
    assert answer.images.kind is not None
    assert answer.images.kind.format == "PNG"
    assert named(answer) == list(range(3, 8))
    assert stored(tmp_path) == {frame: frame for frame in range(3, 8)}
    for frame, known in answer.images.known.items():
        sha256, size = await storage.digest(storage.key_of(f"{answer.images.prefix}{frame}{answer.images.suffix}"))
        assert known == (size, sha256)


@pytest.mark.parametrize(
    ("how", "at", "kept", "failure"),
    [
        ("die", 5, [3, 4], None),
        ("die-in-the-middle", 5, [3, 4], None),
        ("half", 5, [3, 4, 6, 7], Failure.OUTPUT),
        ("skip", 3, [4, 5, 6, 7], Failure.OUTPUT),
        ("extra", 7, [], Failure.OUTPUT),
    ],
)
async def test_what_is_whole_of_a_failed_command(
    runtime: WorkerRuntime,
    storage: Storage,
    tmp_path: Path,
    *,
    how: str,
    at: int,
    kept: list[int],
    failure: Failure | None,
) -> None:
    """Whole images of a command that failed are stored; none is where it wrote images of other frames, but one such."""
    answer = await runtime.run(request_for(storage, "--misbehave", how, "--at", str(at)))
    assert answer.exit_code != 0
    assert (answer.error.kind if answer.error else None) == failure
    assert sorted(stored(tmp_path)) == (kept or [8])
    if failure is None:
        assert named(answer) == kept
    else:
        assert answer.error is not None
        assert "images are not what was ordered" in answer.error.message or "The command wrote" in answer.error.message


async def test_images_outlive_their_worker(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """While a command runs, finished images are stored, so that a worker that is killed loses those of some seconds."""
    work = asyncio.create_task(runtime.run(request_for(storage, "--misbehave", "hang", "--at", "6")))

    async def are_stored() -> bool:
        assert not work.done(), work.result()
        return sorted(stored(tmp_path)) == [3, 4, 5]

    await eventually(are_stored)
    work.cancel()
    await asyncio.wait([work])
    assert sorted(stored(tmp_path)) == [3, 4, 5]


async def test_a_newer_image_shows_that_the_others_are_finished(
    runtime: WorkerRuntime, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest image may still be written to: without a newer one it waits until nothing was written for a while."""
    monkeypatch.setattr(outputs, "QUIET_SECONDS", float("inf"))
    work = asyncio.create_task(runtime.run(request_for(storage, "--misbehave", "hang", "--at", "6")))

    async def are_stored() -> bool:
        assert not work.done(), work.result()
        return sorted(stored(tmp_path)) == [3, 4]

    await eventually(are_stored)
    work.cancel()
    await asyncio.wait([work])
    assert sorted(stored(tmp_path)) == [3, 4]


async def test_an_orchestrator_of_helios_finds_images_by_their_names(
    runtime: WorkerRuntime, storage: Storage, tmp_path: Path
) -> None:
    """Where a request names no folder for an attempt, images lie beside the job document, under their own names."""
    url = request_for(storage).job_path
    answer = await runtime.run(ChunkRequest(job_path=url))
    assert answer.exit_code == 0
    names = [path.name for path in sorted((tmp_path / "store").rglob("shot_*.png"))]
    assert names == [f"shot_{frame:04d}.png" for frame in range(3, 8)]
