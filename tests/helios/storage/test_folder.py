"""Artifact storage: the same behaviour on disk, on S3 and on Google Cloud Storage, over their real protocols."""

import asyncio
import datetime
import hashlib
import os
import re
import time
from pathlib import Path

import boto3
import pytest

from helios.errors import OutputError, RequestError, WorkerUnavailableError
from helios.models.worker import Artifact
from helios.storage.by_url import read_url
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.uploads import PART_BYTES
from helios.storage.urls import is_within, join_url, split_url
from helios.worker.asset_cache import find_folder
from testbed.cloud.aws import Aws
from testbed.cloud.google import Google


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between the tries of an operation whose server is away."""
    monkeypatch.setattr("helios.storage.persistent.PAUSES_SECONDS", (0.05, 0.05))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is uploaded in several parts."""
    path = tmp_path / "file.bin"
    path.write_bytes(os.urandom(2 * PART_BYTES + 12_345))
    return path


async def test_a_file_goes_there_and_comes_back(storage: Storage, file: Path, tmp_path: Path) -> None:
    """A file that goes to storage in parts comes back byte for byte, and both ways report its digest."""
    artifact = await storage.upload(file, "a/b.bin")
    assert artifact.bytes == file.stat().st_size
    assert artifact.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert storage.key_of(artifact.url) == "a/b.bin"
    assert await storage.download("a/b.bin", tmp_path / "back", expected=artifact) == artifact
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


async def test_a_part_of_an_object(storage: Storage) -> None:
    """A part has the bytes that were asked for, and ends where the object ends."""
    await storage.write("a/b", bytes(range(100)))
    assert await storage.read_range("a/b", offset=10, length=5) == bytes(range(10, 15))
    assert await storage.read_range("a/b", offset=95, length=50) == bytes(range(95, 100))
    with pytest.raises(FileNotFoundError):
        await storage.read_range("a/c", offset=0, length=1)


async def test_what_arrives_damaged_is_refused(storage: Storage, tmp_path: Path) -> None:
    """A download that is not the expected file is refused, and no part of it is left."""
    (tmp_path / "good").write_bytes(b"good")
    artifact = await storage.upload(tmp_path / "good", "x")
    await storage.write("x", b"evil")
    with pytest.raises(WorkerUnavailableError, match="damaged, or replaced"):
        await storage.download("x", tmp_path / "back", expected=artifact)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["good"]


async def test_a_file_that_was_changed_since_it_was_verified_is_not_stored(storage: Storage, file: Path) -> None:
    """A file with another digest than it had when it was verified is refused, large or small; nothing is stored."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (await storage.upload(file, "good", expected=digest)).sha256 == digest
    with file.open("r+b") as changed:
        changed.seek(-1, os.SEEK_END)
        changed.write(b"x" if file.read_bytes()[-1:] != b"x" else b"y")
    (file.parent / "small").write_bytes(b"small")
    for path in (file, file.parent / "small"):
        with pytest.raises(OutputError, match="was changed since it was verified"):
            await storage.upload(path, "bad", expected=digest)
    assert [entry.key async for entry in storage.entries()] == ["good"]


async def test_a_record_is_written_once(storage: Storage) -> None:
    """One of many concurrent writers wins, its record is whole, and all others are told that they lost."""
    wins = await asyncio.gather(*(storage.write("record", f"writer {n}".encode(), once=True) for n in range(8)))
    assert sum(wins) == 1
    assert await storage.read("record") == f"writer {wins.index(True)}".encode()
    assert await storage.write("record", f"writer {wins.index(True)}".encode(), once=True), "its own answer was lost"


async def test_what_is_not_there(storage: Storage, tmp_path: Path) -> None:
    """For a missing key reading returns None, fetching raises an error with the key, and deleting does nothing."""
    assert await storage.read("nothing") is None
    assert await storage.size("nothing") is None
    await storage.delete("nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        await storage.download("nothing", tmp_path / "back")
    assert not list(tmp_path.glob("*back*"))


async def test_a_folder_is_listed_and_removed(storage: Storage) -> None:
    """Listing and removing a folder take everything below it, and nothing from a folder whose name begins alike."""
    for key in ("job/1/a", "job/1/b/c", "job/10/a"):
        await storage.write(key, key.encode())
    assert sorted([entry[:2] async for entry in storage.entries("job/1")]) == [("job/1/a", 7), ("job/1/b/c", 9)]
    assert await storage.delete_folder("job/1") == 2
    assert [entry.key async for entry in storage.entries()] == ["job/10/a"]


async def test_a_large_object_is_not_taken_into_memory(storage: Storage) -> None:
    """Reading an object over the limit is refused."""
    await storage.write("doc", b"x" * 100)
    with pytest.raises(RequestError, match="at most 99"):
        await storage.read("doc", limit=99)


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a//b", "", "a/.", "a\0b", "..\\x"])
async def test_keys_do_not_leave_the_folder(storage: Storage, key: str) -> None:
    """A key that would leave the folder is refused before anything is sent."""
    with pytest.raises(RequestError, match="leaves its folder"):
        await storage.write(key, b"x")
    with pytest.raises(RequestError, match="leaves its folder"):
        storage.url_of(key)


def test_places_are_compared_part_by_part() -> None:
    """A folder does not contain another folder whose name begins alike."""
    assert is_within("s3://b/jobs/1/x", "s3://b/jobs")
    assert is_within("s3://b/jobs", "s3://b/jobs/")
    assert is_within("s3://b/x", "s3://b")
    assert not is_within("s3://b/jobs-of-others/1", "s3://b/jobs")
    assert not is_within("s3://bb/jobs/1", "s3://b/jobs")
    assert not is_within("gs://b/jobs/1", "s3://b/jobs")
    with pytest.raises(RequestError, match="s3://b/jobs/../secret"):
        is_within("s3://b/jobs/../secret", "s3://b/jobs")


@pytest.mark.parametrize(
    "url",
    ["http://b/x", "s3:///x", "file://host/x", "s3://b/x?y", "s3://b/x#y", "b/x", "", "s3://b/a/../x", "s3://b//x"],
)
def test_what_is_no_storage_url(url: str) -> None:
    """A text that is not a storage URL is refused with what was expected, as a setting too."""
    with pytest.raises(RequestError, match=re.escape(repr(url))):
        split_url(url)
    with pytest.raises(ValueError, match="storage URL"):
        StorageSettings(url=url)


def test_file_urls_are_paths(tmp_path: Path) -> None:
    """Spaces and signs in file names are quoted in file URLs, and come back as they were."""
    url = join_url(tmp_path.as_uri(), "a b#c?.json")
    Path(tmp_path, "a b#c?.json").write_text("{}")
    assert split_url(url) == ("file://", f"{tmp_path}/a b#c?.json".lstrip("/"))
    assert read_url(url, limit=10) == b"{}"


async def test_markers_of_folders_are_no_files(amazon: Aws) -> None:
    """The empty objects that S3's console makes for folders are no input files; other empty objects are."""
    bucket, _, prefix = amazon.storage_url.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3", endpoint_url=amazon.environment["AWS_ENDPOINT_URL_S3"], region_name="us-east-1")
    folder = f"{prefix}/marked-{os.getpid()}"
    for name, body in [("", b""), ("deep/", b""), ("deep/a", b"a"), ("empty", b"")]:
        s3.put_object(Bucket=bucket, Key=f"{folder}/{name}", Body=body)
    s3.close()
    found = await find_folder(f"s3://{bucket}/{folder}")
    assert (sorted(found.keys), found.bytes) == (["deep/a", "empty"], 1)


async def test_a_missing_bucket_and_a_dead_server(amazon: Aws) -> None:
    """A missing bucket is the request's fault, a dead server the environment's; both errors name the URL."""
    with pytest.raises(RequestError, match="bucket of s3://no-such-bucket does not exist"):
        await Storage(StorageSettings(url="s3://no-such-bucket/x")).read("a")
    dead = Storage(StorageSettings(url="s3://b/x", endpoint="http://127.0.0.1:9", region="us-east-1"))
    with pytest.raises(WorkerUnavailableError, match="s3://b/x/a can't be read"):
        await dead.read("a")


async def test_a_token_that_is_refused(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused token is the request's fault, and is not tried again."""
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "another")
    storage = Storage(StorageSettings(url=f"{google.storage_url}/refused", region="x"))
    with pytest.raises(RequestError, match="can't be read"):
        await storage.read("a")


async def test_credentials_that_expire_are_asked_for_again(amazon: Aws) -> None:
    """A provider of temporary credentials is called again when they expire."""
    calls = 0

    def provide() -> dict[str, object]:
        nonlocal calls
        calls += 1
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
        return {"access_key_id": "a", "secret_access_key": "b", "token": "c", "expires_at": expires}

    storage = Storage(StorageSettings(url=f"{amazon.storage_url}/expiring"), credentials=provide)
    await storage.write("a", b"1")
    first, deadline = calls, time.monotonic() + 60
    while calls == first:
        assert time.monotonic() < deadline, "nobody asked for new credentials"
        assert await storage.read("a") == b"1"
        await asyncio.sleep(0.1)


def test_secrets_are_not_shown() -> None:
    """Secrets of settings are neither in their representation nor in their JSON."""
    settings = StorageSettings.model_validate({"url": "s3://b", "access_key_id": "id", "secret_access_key": "hush"})
    assert "hush" not in repr(settings) + settings.model_dump_json()


async def test_artifacts_carry_their_digest(storage: Storage, tmp_path: Path) -> None:
    """A download whose digest differs from the expected digest is refused."""
    (tmp_path / "a").write_bytes(b"a")
    artifact = await storage.upload(tmp_path / "a", "a")
    other = Artifact(url=artifact.url, bytes=1, sha256="0" * 64)
    with pytest.raises(WorkerUnavailableError, match="damaged, or replaced"):
        await storage.download("a", tmp_path / "b", expected=other)
