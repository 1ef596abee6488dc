"""Count the bytes that chunks of an encode fetch of a large source: `python -m benchmarks.source_ranges [GIGABYTES]`.

A source is written to storage on disk, in three containers; chunks of ten seconds at five places are decoded from the
parts that are fetched, as on a worker elsewhere. Each chunk meets a worker that has kept nothing.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.pictures import PictureReader
from helios.job.assets import Selection, upload_assets
from helios.job.block_list import store_block_list
from helios.models.worker import WorkerResult
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker.block_reader import BlockCache
from helios.worker.ranged_inputs import RangedInputs

RATE, GROUP, SIZE = 25, 50, (1280, 720)
CHUNK_FRAMES = 250
PLACES = 5


def group(path: Path) -> None:
    """Write a closed group of pictures of noise: 5 MB for two seconds, as at 20 Mbit/s."""
    with av.open(str(path), "w") as output:
        options = {"preset": "ultrafast", "x264-params": f"keyint={GROUP}:open-gop=0:bitrate=20000:vbv-bufsize=20000:"
                   "vbv-maxrate=20000:log-level=error"}  # fmt: skip
        video = output.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(video, VideoStream)
        (video.width, video.height), video.pix_fmt = SIZE, "yuv420p"
        rng = np.random.default_rng(1)
        for _ in range(GROUP):
            pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            output.mux(video.encode(VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(video.encode(None))


def write_source(path: Path, template: Path, *, size: int) -> None:
    """Repeat the group's packets until the file is as large as asked for, in bytes."""
    with av.open(str(template)) as source, av.open(str(path), "w") as output:
        stream = source.streams.video[0]
        copy, tick = output.add_stream_from_template(stream), stream.time_base or Fraction(1)
        packets = [
            (bytes(one), one.pts or 0, one.dts or 0, one.is_keyframe) for one in source.demux(stream) if one.size
        ]
        span = round(GROUP / RATE / tick)
        for turn in range(size // sum(len(data) for data, *_ in packets) + 1):
            for data, pts, dts, is_key in packets:
                packet = Packet(data)
                packet.stream, packet.time_base = copy, tick
                packet.pts, packet.dts, packet.is_keyframe = pts + turn * span, dts + turn * span, is_key
                output.mux_one(packet)


def decode(path: Path, first: int) -> int:
    """Decode a chunk; how many pictures that are."""
    reader = PictureReader(path)
    try:
        return sum(1 for _ in islice(reader.pictures(first), CHUNK_FRAMES))
    finally:
        reader.close()


async def fetched(source: Path, folder: Path, times: list[int]) -> list[int]:
    """The bytes that chunks fetch that begin with these pictures."""
    storage = Storage(StorageSettings(url=(folder / "store").as_uri()))
    bundle = await upload_assets(Selection([source], [], []), directory=source.parent, storage=storage, known={})
    (asset,) = bundle.assets
    lists = {asset.path: await store_block_list(asset, source, storage)}
    found = []
    for number, first in enumerate(times):
        space = folder / str(number)
        space.mkdir()

        async def command(space: Path = space, first: int = first) -> WorkerResult:
            count = await asyncio.to_thread(decode, space / asset.path, first)
            assert count == CHUNK_FRAMES, count
            return WorkerResult(exit_code=0)

        ranged = RangedInputs(bundle, lists, BlockCache())
        ended = await ranged.around(command(), space, user=None, log=lambda *_: None)
        found.append(int(ended.stderr.split()[0]))
    return found


def main() -> None:
    """Print, for each container, a chunk's own bytes, and what it fetches."""
    size = round(float(sys.argv[1]) * 1e9) if len(sys.argv) > 1 else 2_000_000_000
    with tempfile.TemporaryDirectory() as name:
        template = Path(name, "group.mp4")
        group(template)
        for suffix in (".mp4", ".mkv", ".ts"):
            with tempfile.TemporaryDirectory(dir=name) as folder:
                source = Path(folder, f"source{suffix}")
                write_source(source, template, size=size)
                with av.open(str(source)) as video:
                    stream = video.streams.video[0]
                    times = sorted(one.pts for one in video.demux(stream) if one.pts is not None)
                frames = range(0, len(times) - CHUNK_FRAMES, (len(times) - CHUNK_FRAMES) // (PLACES - 1) - 1)
                counts = asyncio.run(fetched(source, Path(folder), [times[one] for one in frames]))
                whole = os.path.getsize(source)
                told = {"container": suffix, "bytes": whole, "chunk": round(whole * CHUNK_FRAMES / len(times))}
                print(json.dumps({**told, "fetched": counts, "median": round(statistics.median(counts))}), flush=True)


if __name__ == "__main__":
    main()
