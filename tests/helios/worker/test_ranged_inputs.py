"""Input files of which a command gets the parts that it asks for."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from helios.job.assets import Asset, select_assets, upload_assets
from helios.job.block_list import BLOCK_BYTES, list_key, store_block_list
from helios.models.invocation import ChunkAnswer, ChunkRequest, Failure
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings
from tests.helios.worker.stored import store_job, store_script

NAME = "scenes/" + "long " * 20 + ".bin"
"""Longer than a socket's address."""
READ = f"""
import hashlib
from pathlib import Path
from helios.encode.ranged_source import RangedSource
source = RangedSource(Path({NAME!r}))
source.seek(-7, 2)
print(source.size, source.read().hex())
source.seek(3 * {BLOCK_BYTES} - 5)
print(hashlib.sha256(source.read(4 * {BLOCK_BYTES})).hexdigest())
source.close()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Storage on disk."""
    return Storage(StorageSettings(url=(tmp_path / "store").as_uri()))


@pytest.fixture
def runtime(tmp_path: Path) -> WorkerRuntime:
    """A worker."""
    return WorkerRuntime(WorkerSettings(folder=tmp_path / "worker", grace_seconds=0.5))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of eight whole blocks and a piece."""
    path = tmp_path / "job" / NAME
    path.parent.mkdir(parents=True)
    digests = (hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(8 * BLOCK_BYTES // 32))
    path.write_bytes(b"".join(digests) + b"end" * 333)
    return path


async def _send(file: Path, storage: Storage) -> tuple[dict[str, Any], Asset]:
    """Store a file, and a job that reads parts of it; the request, and the file in storage."""
    folder = file.parents[1]
    found = select_assets(folder, patterns=None, outputs=[])
    bundle = await upload_assets(found, directory=folder, storage=storage, known={})
    await storage.write("jobs/assets.json", bundle.model_dump_json().encode())
    (asset,) = bundle.assets
    document = json.loads(await storage.read(storage.key_of(str(store_script(storage, READ).job_url))) or b"")
    url = store_job(storage, {**document, "assetsUrl": storage.url_of("jobs/assets.json")})
    request = {"job_path": url, "ranged_inputs": {asset.path: await store_block_list(asset, file, storage)}}
    return request, asset


async def _run(runtime: WorkerRuntime, request: dict[str, Any]) -> ChunkAnswer:
    return await runtime.run(ChunkRequest(**request, attempt_url=f"{request['job_path']}-attempt"))


async def test_parts_of_a_file(runtime: WorkerRuntime, storage: Storage, file: Path) -> None:
    """A command seeks and reads; what it does not ask for is not fetched."""
    request, _ = await _send(file, storage)
    answer = await _run(runtime, request)
    assert answer.error is None, answer.error
    data = file.read_bytes()
    part = data[3 * BLOCK_BYTES - 5 : 7 * BLOCK_BYTES - 5]
    assert answer.stdout.splitlines() == [f"{len(data)} {data[-7:].hex()}", hashlib.sha256(part).hexdigest()]
    # The last piece; then blocks 2, 3 and 4, 5 to 8 of which the last was kept: up to four at once.
    assert f"of the {len(data)} bytes of {NAME} were fetched" in answer.stderr
    fetched = int(answer.stderr.split(maxsplit=1)[0])
    assert 5 * BLOCK_BYTES < fetched <= 7 * BLOCK_BYTES + 2000


async def test_a_worker_that_fetches_whole_files(runtime: WorkerRuntime, storage: Storage, file: Path) -> None:
    """A request without ranges, as of an earlier version, gets the file itself."""
    request, _ = await _send(file, storage)
    answer = await _run(runtime, {**request, "ranged_inputs": {}})
    assert answer.exit_code != 0  # the program connects to what is a file now
    assert "ConnectionRefusedError" in answer.stderr


@pytest.mark.parametrize("damage", ["block", "list", "gone"])
async def test_a_file_that_changes(runtime: WorkerRuntime, storage: Storage, file: Path, damage: str) -> None:
    """A file in storage that is not what was uploaded fails the attempt as its environment does, whatever was read."""
    request, asset = await _send(file, storage)
    if damage == "gone":
        await storage.delete(asset.key)
    elif damage == "list":
        await storage.write(list_key(asset), bytes(9 * 32))
    else:
        data = bytearray(file.read_bytes())
        data[4 * BLOCK_BYTES + 17] ^= 1
        await storage.write(asset.key, bytes(data))
    answer = await _run(runtime, request)
    assert answer.error is not None
    assert answer.error.failure is Failure.UNAVAILABLE
    assert ("is not at" if damage == "gone" else "is damaged, or was replaced") in answer.error.message
