"""Files are read where that can be ended: in processes with bounds of time and memory."""

import asyncio
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest

from helios.errors import OutputError
from helios.low_priority import NICE
from helios.media.bounds import Bounds, reading_bounds
from helios.media.verify import verify_output
from helios.processes.reader import run_apart
from helios.storage.digest import hash_file
from testbed.reading import die, note_and_loop, take_memory, whoami
from testbed.video import Clip, write_clip
from tests.command import until

BOUNDS = Bounds(seconds=600, memory_bytes=256 * 1024**2, file_bytes=1)
ENDLESS = 400 * 10**9
ORDER: dict[str, Any] = {"fps": Fraction(30), "width": 64, "height": 64}


def is_noted(folder: Path) -> bool:
    return (folder / "pid").exists() and bool((folder / "pid").read_text())


async def test_a_reader_carries_out_one_order_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function returns or raises comes back from a process of low priority, without credentials."""
    monkeypatch.setenv("HELIOS_SECRET_OF_THIS_TEST", "secret")
    clip = write_clip(tmp_path / "c.mp4", Clip(), start=0, count=12)
    bounds = reading_bounds(frames=12, width=64, height=64)
    found = await run_apart(verify_output, clip, frames=12, bounds=bounds, **ORDER)
    assert found == verify_output(clip, frames=12, **ORDER)
    with pytest.raises(OutputError, match=r"none\.mp4 was not written"):
        await run_apart(verify_output, tmp_path / "none.mp4", frames=12, bounds=bounds, **ORDER)
    pid, priority, secret = await run_apart(whoami, clip, bounds=BOUNDS)
    assert pid == (await run_apart(whoami, clip, bounds=BOUNDS))[0]
    assert pid != os.getpid()
    assert (priority, secret) == (min(os.getpriority(os.PRIO_PROCESS, 0) + NICE, 19), None)


async def test_a_reader_that_loops_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    """A cancellation kills a reader that never comes back; so does its deadline."""
    task = asyncio.create_task(run_apart(note_and_loop, tmp_path, bounds=BOUNDS))
    await asyncio.to_thread(until, lambda: is_noted(tmp_path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pid = int((tmp_path / "pid").read_text())
    await asyncio.to_thread(until, lambda: not psutil.pid_exists(pid))
    with pytest.raises(OutputError, match="can't be read to its end within 1 s"):
        await run_apart(note_and_loop, tmp_path, bounds=Bounds(seconds=1, memory_bytes=2**28, file_bytes=1))


async def test_memory_is_bounded(tmp_path: Path) -> None:
    """A reader that takes too much memory, or dies, fails its file; the next order is carried out."""
    functions: list[Callable[..., Any]] = [take_memory, die]
    for function in functions:
        with pytest.raises(
            OutputError, match=r"c\.mp4 can't be read: its reader died, or would take more than 256 MiB"
        ):
            await run_apart(function, tmp_path / "c.mp4", 2 * BOUNDS.memory_bytes, bounds=BOUNDS)
    assert await run_apart(take_memory, tmp_path, BOUNDS.memory_bytes // 2, bounds=BOUNDS) == BOUNDS.memory_bytes // 2


async def test_a_file_of_400_gigabytes(tmp_path: Path) -> None:
    """A video that a sparse file goes on behind is refused at once by its size, and hashing it can be cancelled."""
    clip = write_clip(tmp_path / "c.mp4", Clip(), start=0, count=12)
    os.truncate(clip, ENDLESS)
    bounds = reading_bounds(frames=12, width=64, height=64)
    with pytest.raises(OutputError, match=f"has {ENDLESS} bytes; expected at most"):
        await run_apart(verify_output, clip, frames=12, bounds=bounds, **ORDER)
    with pytest.raises(asyncio.TimeoutError):  # that it is hashed is proved by its not being done
        await asyncio.wait_for(run_apart(hash_file, clip, bounds=bounds), timeout=0.5)


@pytest.mark.slow
async def test_a_picture_of_30000_by_30000(tmp_path: Path) -> None:
    """A small file with a huge picture is refused, and takes no more memory than is allowed."""
    rows, packed = zlib.compressobj(1), bytearray()
    for _ in range(30_000):
        packed += rows.compress(bytes(30_001))
    packed += rows.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    pieces = [(b"IHDR", header), (b"IDAT", bytes(packed)), (b"IEND", b"")]
    path = tmp_path / "c.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in pieces)
    )
    bounds = reading_bounds(frames=1, width=64, height=64)
    with pytest.raises(OutputError, match=r"(30000×30000|0×0) pixels; expected 64×64|no video stream|can't be read"):
        await run_apart(verify_output, path, frames=1, bounds=bounds, **ORDER)


def patched(clip: bytes, *changes: tuple[bytes, int, tuple[int, ...]]) -> bytes:
    """An MP4 file with numbers of 32 bits changed: the box, where in it, and what."""
    found = bytearray(clip)
    for box, offset, numbers in changes:
        struct.pack_into(f">{len(numbers)}I", found, found.index(box) + 4 + offset, *numbers)
    return bytes(found)


SAMPLES = (b"stsz", 4, (1, 2**31 - 1)), (b"stts", 8, (2**31 - 1,))
GIF = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 128, 0, 0) + bytes(6)
BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "samples.mp4": lambda clip: patched(clip, *SAMPLES),
    "samples-in-one-chunk.mp4": lambda clip: patched(clip, *SAMPLES, (b"stsc", 8, (1, 2**31 - 1, 1))),
    "times.mp4": lambda clip: patched(clip, (b"stts", 4, (2**28 - 1,))),
    "shifts.mp4": lambda clip: patched(clip, (b"ctts", 4, (2**28 - 1,))),
    "edits.mp4": lambda clip: patched(clip, (b"elst", 8, (1, 2**31 - 1))),
    "canvas.gif": lambda _: GIF + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00\x3b",
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_small_file_that_claims_to_be_large(tmp_path: Path, name: str) -> None:
    """Two thousand million samples, huge tables, edits and canvases are refused within the bounds, in a line."""
    path = tmp_path / name
    path.write_bytes(BOMBS[name](write_clip(tmp_path / "c.mp4", Clip(), start=0, count=12).read_bytes()))
    bounds = reading_bounds(frames=12, width=64, height=64)
    with pytest.raises(OutputError) as caught:
        await run_apart(verify_output, path, frames=12, bounds=bounds, **ORDER)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


LOOPS = """
import asyncio, sys
from pathlib import Path
from helios.processes.reader import run_apart
from helios.media.bounds import Bounds
from testbed.reading import note_and_loop
asyncio.run(run_apart(note_and_loop, Path(sys.argv[1]), bounds=Bounds(seconds=600, memory_bytes=2**28, file_bytes=1)))
"""


def test_readers_end_with_the_process_that_they_read_for(tmp_path: Path) -> None:
    """After SIGKILL of a process its readers are gone, also one that loops."""
    process = subprocess.Popen([sys.executable, "-c", LOOPS, str(tmp_path)])
    until(lambda: is_noted(tmp_path))
    pid = int((tmp_path / "pid").read_text())
    readers = psutil.Process(pid).parent()
    process.kill()
    process.wait()
    until(lambda: not psutil.pid_exists(pid) and not (readers and readers.is_running()))


def die_once(folder: Path) -> str:
    try:
        (folder / "died").touch(exist_ok=False)
    except FileExistsError:
        return "read"
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow
async def test_a_reader_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """What kills a reader is not the file's fault: another one reads it."""
    assert await run_apart(die_once, tmp_path, bounds=BOUNDS) == "read"
