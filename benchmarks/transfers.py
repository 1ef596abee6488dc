"""Files to and from storage: ours, with digests and verification on arrival, against obstore alone."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

from benchmarks.extent import Extent
from benchmarks.measure import Table, compare
from helios.bounded import map_bounded
from helios.models.worker import Artifact
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.uploads import TRANSFERS_AT_ONCE
from testbed.cloud.aws import BUCKET, KEYS, make_bucket
from testbed.cloud.processes import running

FILES, MEGABYTES = 100, 5
OURS, ALONE = "this project", "obstore alone, which checks no digests"


def measure(extent: Extent) -> list[Table]:
    """Measure 100 files of 5 MB, up and down."""
    return asyncio.run(_measure(extent.runs))


async def _measure(runs: int) -> list[Table]:
    with (
        tempfile.TemporaryDirectory() as name,
        running("testbed.cloud.object_storage") as server,
    ):
        os.environ |= KEYS
        make_bucket(server["url"])
        folder = Path(name)
        paths = [folder / f"{n}.bin" for n in range(FILES)]
        for path in paths:
            path.write_bytes(os.urandom(MEGABYTES * 1_000_000))
        ours = Storage(StorageSettings(url=f"s3://{BUCKET}/ours", endpoint=server["url"]))
        bare = S3Store(BUCKET, prefix="bare", endpoint=server["url"], client_options={"allow_http": True})
        up = await compare({OURS: lambda: _upload(ours, paths), ALONE: lambda: _put(bare, paths)}, runs=runs)
        stored = await map_bounded(lambda path: ours.upload(path, path.name), paths, limit=TRANSFERS_AT_ONCE)
        down = await compare(
            {
                OURS: lambda: _download(ours, stored, folder),
                ALONE: lambda: _get(bare, paths, folder),
            },
            runs=runs,
        )
    title = f"{FILES} files of {MEGABYTES} MB, {TRANSFERS_AT_ONCE} at a time, over S3 on loopback"
    return [
        Table(title=f"{title}: up", figures=up, reference=ALONE),
        Table(title=f"{title}: down, with digests checked", figures=down, reference=ALONE),
    ]


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
