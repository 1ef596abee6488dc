"""A sequence whose final place is artifact storage (`--images-to`)."""

import hashlib
import json
from pathlib import Path

import pytest

from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.cloud.aws import BUCKET, Aws
from testbed.cloud.google import Google
from testbed.images import image_job
from testbed.jobs import make_job, write_job
from tests.command import here, start_helios_job, until
from tests.flows.test_images import begun, noted
from tests.running import render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


def digests(folder: Path) -> dict[str, str]:
    """The images of a job, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "frames").iterdir()}


async def stored(url: str) -> dict[str, str]:
    """The images in a folder of storage, by name."""
    storage = Storage(StorageSettings(url=url))
    return {entry.key: (await storage.digest(entry.key))[0] async for entry in storage.entries()}


def sent(amazon: Aws, folder: str) -> dict[str, int]:
    """How often each image was written into a folder of the bucket."""
    start = f"PUT /{BUCKET}/{folder}/shot_"
    seen: dict[str, int] = amazon.storage.state()["seen"]
    return {
        name.removeprefix(start).removesuffix(".png"): count
        for name, count in seen.items()
        if start in name and name.endswith(".png")
    }


async def test_a_bucket_has_the_sequence(tmp_path: Path, amazon: Aws) -> None:
    """Every image is in the bucket under its name, and the report says where; the next run sends what is missing."""
    url = f"s3://{BUCKET}/whole/shots/"
    state, report = await render(tmp_path, image_job(), images_to=url)
    assert state.is_completed(), state.message
    assert await stored(url) == digests(tmp_path)
    assert len(digests(tmp_path)) == 20
    assert report.images is not None
    assert (report.images.url, report.images.sent) == (f"s3://{BUCKET}/whole/shots/shot_%23%23%23%23.png", 20)
    assert f"in s3://{BUCKET}/whole/shots, 20 of them sent now" in (state.message or "")
    storage = Storage(StorageSettings(url=url))
    await storage.delete("shot_0003.png")
    await storage.write("shot_0005.png", b"another picture")
    same_size = bytes(len((tmp_path / "frames" / "shot_0007.png").read_bytes()))
    await storage.write("shot_0007.png", same_size)
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert await stored(url) == digests(tmp_path)
    assert report.images is not None
    assert (report.images.rendered, report.images.sent) == (0, 3)


async def test_a_bucket_of_google(tmp_path: Path, google: Google) -> None:
    """Google Cloud Storage takes a sequence, and a video of it beside."""
    url = f"{google.storage_url}/google-shots"
    state, report = await render(tmp_path, image_job([3]), images_to=url, output_file=str(tmp_path / "video.mp4"))
    assert state.is_completed(), state.message
    assert await stored(url) == digests(tmp_path)
    assert report.video is not None
    _, report = await resume(report)
    assert report.images is not None
    assert report.images.sent == 0


@pytest.mark.slow
def test_killed_in_the_middle(tmp_path: Path, amazon: Aws) -> None:
    """A run that is killed while it sends is resumed: what is in the bucket is not sent again, and all is there."""
    job = write_job(tmp_path, image_job(id=f"sent {tmp_path}"))
    amazon.storage.want("stall-image", 1)
    words = ("run", job, "--concurrency", 1, "--images-to", f"s3://{BUCKET}/killed/")
    process = start_helios_job(*words)
    until(lambda: amazon.storage.fired("stall-image") or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    until(lambda: len(sent(amazon, "killed")) >= 4 or process.poll() is not None)
    process.kill()
    process.communicate()
    before = sent(amazon, "killed")
    done = here(*words, "--json")
    assert done.returncode == 0, done.stderr
    images = json.loads(done.stdout)["images"]
    after = sent(amazon, "killed")
    assert len(after) == 20
    assert sum(after.values()) - sum(before.values()) == images["sent"]
    assert images["sent"] < 20  # what was there before is not sent again
    assert images["url"].startswith(f"s3://{BUCKET}/killed/")


async def test_a_folder_elsewhere(tmp_path: Path) -> None:
    """A folder of this machine takes the sequence, by its URL, beside the job directory."""
    job, place = tmp_path / "job", tmp_path / "delivered"
    job.mkdir()
    place.mkdir()
    state, _ = await render(job, image_job([3, 2]), images_to=place.as_uri())
    assert state.is_completed(), state.message
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()} == digests(job)


@pytest.mark.slow
async def test_storage_that_is_closed_at_the_end(tmp_path: Path) -> None:
    """Where images can't be sent, the job fails with where they lie; resumed, it sends them, and renders nothing."""
    job, place = tmp_path / "job", tmp_path / "delivered"
    job.mkdir()
    place.mkdir()
    (place / "shot_0003.png").mkdir()
    (place / "shot_0003.png" / "in the way").touch()
    state, report = await render(job, noted(job, sizes=[5]), images_to=place.as_uri())
    assert state.is_failed()
    assert f"The images are finished, and lie in {job}/frames" in (state.message or "")
    (place / "shot_0003.png" / "in the way").unlink()
    (place / "shot_0003.png").rmdir()
    state, report = await resume(report)
    assert state.is_completed(), state.message
    assert begun(job) == [1, 2, 3, 4, 5]
    assert report.images is not None
    assert 1 <= report.images.sent <= 5


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("shots/", "expected a folder's URL, such as s3://bucket/shots/"),
        (f"s3://{BUCKET}/shot_####.png", "'shot_####.png' is a pattern; expected a folder"),
        ("s3://no-such-bucket/shots/", "does not exist"),
    ],
)
def test_places_that_do_not_work(tmp_path: Path, amazon: Aws, url: str, said: str) -> None:
    """A place that can't be written to is refused before anything renders."""
    done = here("run", write_job(tmp_path, image_job([2])), "--images-to", url)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (tmp_path / "frames").exists()


def test_videos_have_no_images(tmp_path: Path) -> None:
    """A job whose chunks write videos is refused with what to say instead."""
    done = here("run", write_job(tmp_path, make_job([2])), "--images-to", "s3://bucket/shots/")
    assert done.returncode == 2
    assert "the job's chunks write videos" in done.stderr
