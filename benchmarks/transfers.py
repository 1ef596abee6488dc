"""Files to and from storage: ours, with digests and verification on arrival, against obstore alone."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.measure import compare, table
from helios.bounded import map_bounded
from helios.models.worker import Artifact
from helios.storage import TRANSFERS_AT_ONCE, Storage
from helios.stores import StorageSettings
from tests.cloud.aws import BUCKET, KEYS, make_bucket
from tests.cloud.processes import running

FILES, MEGABYTES = 100, 5


async def measure(*, runs: int = 5) -> str:
    """100 files of 5 MB up and down."""
    with (
        tempfile.TemporaryDirectory() as name,
        running("tests.cloud.object_storage") as server,
    ):
        os.environ |= KEYS
        make_bucket(server["url"])
        folder = Path(name)
        paths = [folder / f"{n}.bin" for n in range(FILES)]
        for path in paths:
            path.write_bytes(os.urandom(MEGABYTES * 1_000_000))
        ours = Storage(StorageSettings(url=f"s3://{BUCKET}/ours", endpoint=server["url"]))
        bare = S3Store(BUCKET, prefix="bare", endpoint=server["url"], client_options={"allow_http": True})
        up = await compare(
            {"upload, this project": lambda: _upload(ours, paths), "upload, obstore alone": lambda: _put(bare, paths)},
            runs=runs,
        )
        stored = await map_bounded(lambda path: ours.upload(path, path.name), paths, limit=TRANSFERS_AT_ONCE)
        down = await compare(
            {
                "download, this project": lambda: _download(ours, stored, folder),
                "download, obstore alone": lambda: _get(bare, paths, folder),
            },
            runs=runs,
        )
    title = f"{FILES} files of {MEGABYTES} MB, {TRANSFERS_AT_ONCE} at a time, over S3 on loopback"
    return table(f"{title}: up", up) + "\n" + table(f"{title}: down", down)


async def _upload(storage: Storage, paths: list[Path]) -> None:
    await map_bounded(lambda path: storage.upload(path, path.name), paths, limit=TRANSFERS_AT_ONCE)


async def _put(store: S3Store, paths: list[Path]) -> None:
    async def put(path: Path) -> Any:
        return await obstore.put_async(store, path.name, path)

    await map_bounded(put, paths, limit=TRANSFERS_AT_ONCE)


async def _download(storage: Storage, stored: list[Artifact], folder: Path) -> None:
    async def download(artifact: Artifact) -> None:
        key = storage.key_of(artifact.url)
        await storage.download(key, folder / f"down-{key}", expected=artifact)

    await map_bounded(download, stored, limit=TRANSFERS_AT_ONCE)


async def _get(store: S3Store, paths: list[Path], folder: Path) -> None:
    async def get(path: Path) -> None:
        answer = await obstore.get_async(store, path.name)
        with (folder / f"bare-{path.name}").open("wb") as file:
            async for piece in answer.stream():
                file.write(piece)

    await map_bounded(get, paths, limit=TRANSFERS_AT_ONCE)


if __name__ == "__main__":
    print(asyncio.run(measure()))
