"""Measure by hand how long after its first chunk was accepted a job's first picture is on a browser's screen.

`python -m benchmarks.first_picture [CHUNKS …]` begins a job of each length, `helios-job watch` and Chromium; only then
is its first chunk let through, and all other chunks wait. Needs Debian's chromium.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from playwright.async_api import async_playwright
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

T = TypeVar("T")
CHROMIUM = Path("/usr/bin/chromium")
FRAMES = 60
"""Of a chunk; 2 s."""
NOTE = """() => { window.first = new Promise(done => {
    document.querySelector("video").requestVideoFrameCallback(() => done(Date.now()));
}); }"""
SHOWN = "window.first"
PATIENCE_SECONDS = 300.0


def main() -> None:
    """Measure, and print a line for each length."""
    parser = argparse.ArgumentParser(prog="benchmarks.first_picture")
    parser.add_argument("chunks", nargs="*", type=int, default=[10, 1000, 10_000], help="of each job")
    words = parser.parse_args()
    if "PREFECT_HOME" not in os.environ:
        with tempfile.TemporaryDirectory(prefix="helios-bench-", ignore_cleanup_errors=True) as home:
            environment = os.environ | {"PREFECT_HOME": home, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
            again = [sys.executable, "-m", "benchmarks.first_picture", *map(str, words.chunks)]
            sys.exit(subprocess.run(again, env=environment, check=False).returncode)
    from benchmarks.servers import server

    with server():
        for count in words.chunks:
            seconds = asyncio.run(_measure(count))
            print(f"{count} chunks: first picture {seconds:.2f} s after the first chunk was accepted", flush=True)


async def _measure(count: int) -> float:
    from flows.render import render_job
    from testbed.jobs import make_job, write_job

    with tempfile.TemporaryDirectory(prefix="helios-first-") as place:
        folder = Path(place)
        (folder / "gates").mkdir()
        job = make_job([FRAMES] * count, extra=["--misbehave", f"until:{folder / 'gates'}"], outputFile="video.mp4")
        path = write_job(folder, job)
        work = asyncio.create_task(cast(Any, render_job)(str(path), concurrency=2, return_state=True))
        try:
            accepted = await _until(lambda: next(folder.glob(".helios/watch/*/accepted"), None))
            return await _watch(accepted, folder / "gates")
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def _watch(accepted: Path, gates: Path) -> float:
    """Seconds from the first chunk's acceptance to its first picture on the screen."""
    async with get_client() as client:
        (run,) = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    command = Path(sys.executable).with_name("helios-job")
    player = await asyncio.create_subprocess_exec(command, "watch", str(run.id), "--no-browser", stdout=subprocess.PIPE)
    assert player.stdout is not None
    try:
        link = (await player.stdout.readline()).decode().strip()
        async with async_playwright() as play:
            flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            browser = await play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
            page = await browser.new_page()
            await page.goto(link)
            await page.evaluate(NOTE)
            (gates / "0").touch()
            await _until(lambda: accepted.read_text().count("\n") > 1)
            begun = accepted.stat().st_mtime
            listed = await _until(lambda: next(accepted.parent.glob("video.m3u8"), None))
            print(f"  listed after {listed.stat().st_mtime - begun:.2f} s")
            shown = await page.evaluate(SHOWN)
            await browser.close()
            return float(shown) / 1000 - begun
    finally:
        player.terminate()
        await player.wait()


async def _until(found: Callable[[], T | None]) -> T:
    """Wait until something is there."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        assert time.monotonic() < until, "it did not come"
        await asyncio.sleep(0.05)
    return value


if __name__ == "__main__":
    main()
