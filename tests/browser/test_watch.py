"""A video is watched in a real browser while its later chunks render: `helios-job watch`.

Needs Debian's chromium. Screenshots are kept in build/screenshots.
"""

import asyncio
import io
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from av.video.frame import VideoFrame
from playwright.async_api import Page, async_playwright
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from testbed.jobs import make_job
from testbed.video import read_number
from tests.browser.test_ui import CHROMIUM, PATIENCE_MS, SHOTS
from tests.command import HELIOS_JOB
from tests.running import eventually, render

pytestmark = [
    pytest.mark.usefixtures("prefect_api"),
    pytest.mark.slow,  # it plays eight seconds of video; tests/flows/test_preview.py decodes playlists
    pytest.mark.timeout(600),
]
SIZES = (60, 45, 1, 74, 60)
NUMBERS = """() => {
    const video = document.querySelector("video"), canvas = new OffscreenCanvas(64, 64);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    window.seen = [];
    window.waits = 0;
    video.addEventListener("waiting", () => { window.waits += 1; });
    const note = (_now, frame) => {
        pen.drawImage(video, 0, 0, 64, 64);
        const gray = pen.getImageData(0, 0, 64, 64).data;
        let number = 0;
        for (let bit = 0; bit < 16; bit += 1) {
            const row = 8 + 16 * Math.floor(bit / 4), column = 8 + 16 * (bit % 4);
            if (gray[4 * (64 * row + column)] > 127) number += 2 ** bit;
        }
        window.seen.push([frame.mediaTime, number]);
        video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
}"""
"""Notes of each frame that is shown its time, and the number that its pixels show."""


@asynccontextmanager
async def watching(run: str, *words: str) -> AsyncIterator[str]:
    """The link that the real command prints; at the end it gets Ctrl-C, and ends without a word."""
    process = await asyncio.create_subprocess_exec(
        HELIOS_JOB, "watch", run, "--no-browser", *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), 120)).decode().strip()
        process.send_signal(signal.SIGINT)
        _, said = await asyncio.wait_for(process.communicate(), 30)
        assert (process.returncode, said) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def a_page(link: str) -> AsyncIterator[Page]:
    """The link, opened in Chromium."""
    async with async_playwright() as play:
        flags = [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--autoplay-policy=no-user-gesture-required",
        ]
        browser = await play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        page = await browser.new_page(viewport={"width": 1000, "height": 1100})
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(link)
        yield page
        await browser.close()


async def newest_run() -> str:
    """The id of the run that was made last."""
    async with get_client() as client:
        (run,) = await client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        return str(run.id)


def number_in(picture: bytes) -> int:
    """The number that a screenshot of the video shows."""
    with av.open(io.BytesIO(picture), "r") as image:
        frame = next(image.decode(video=0))
        assert isinstance(frame, VideoFrame)
        return read_number(frame)


async def value(page: Page, script: str) -> Any:
    """What an expression gives in the page; `v` is its video."""
    return await page.evaluate(f"(() => {{ const v = document.querySelector('video'); return {script}; }})()")


async def until_true(page: Page, script: str) -> None:
    """Wait until an expression is true; the page forbids what Playwright has for that (its security policy)."""
    await eventually(lambda: value(page, f"Boolean({script})"))


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium")
async def test_it_plays_while_it_renders(tmp_path: Path) -> None:
    """The first seconds play while later chunks wait; then each frame is shown at its time, across all seams."""
    gates = tmp_path / "gates"
    gates.mkdir()
    (gates / "0").touch()
    job = make_job(SIZES, suffix=".mov", extra=["--sound", "--misbehave", f"until:{gates}"], outputFile="video.mp4")
    work = asyncio.create_task(render(tmp_path, job, concurrency=2))

    async def has_first() -> bool:
        return bool(list(tmp_path.glob(".helios/watch/*/video.m3u8")))

    await eventually(has_first)
    async with watching(await newest_run()) as link, a_page(link) as page:
        await until_true(page, "v.currentTime > 0.5")
        await value(page, "v.pause()")
        shown = round(await value(page, "v.currentTime") * 30)
        await page.wait_for_timeout(300)  # until it is on the screen
        SHOTS.mkdir(parents=True, exist_ok=True)
        number = number_in(await page.locator("video").screenshot())
        assert abs(number - shown) <= 2
        assert number < SIZES[0]
        await until_true(page, "document.querySelectorAll('#rendering tr').length > 0")
        await page.screenshot(path=SHOTS / "watch.png", full_page=True)
        assert not work.done()
        await page.evaluate(NUMBERS)
        (gates / "all").touch()
        await until_true(page, "v.buffered.length && v.buffered.end(0) > 7.9")
        await value(page, "v.currentTime = 0, void v.play()")
        await until_true(page, "v.ended")
        seen = [(time, found) for time, found in await value(page, "window.seen")]
        wrong = [(time, found) for time, found in seen if abs(time * 30 - found) > 0.1]
        assert not wrong
        assert {found for _, found in seen} >= {0, 30, 100, 200, 239} or len({found for _, found in seen}) > 120
        assert await value(page, "v.buffered.length") == 1
        assert await value(page, "v.webkitAudioDecodedByteCount") > 0
        assert await value(page, "v.duration") == pytest.approx(8, abs=0.02)
    state, _ = await work
    assert state.is_completed()


async def test_who_gets_in(tmp_path: Path) -> None:
    """Without the token, and under a name that points here, nothing is told; no method but reading is known."""
    _, report = await render(tmp_path, make_job((3, 3)))
    async with watching(report.run_id) as link, httpx.AsyncClient() as browser:
        document = (await browser.get(f"{link}state.json")).json()
        assert (document["state"], document["playable"]["frames"]) == ("completed", 6)
        assert (await browser.get(f"{link}video.m3u8")).text.endswith("#EXT-X-ENDLIST\n")
        assert (await browser.get(f"{link}header.mp4")).content[4:8] == b"ftyp"
        base = link.split("/", 3)
        assert (await browser.get("/".join(base[:3]) + "/state.json")).status_code == 404
        assert (await browser.get(f"{link}state.json", headers={"Host": "evil.test"})).status_code == 400
        assert (await browser.post(f"{link}state.json")).status_code == 405
        for name in ("accepted", "watched", "..%2Faccepted", "%2e%2e/%2e%2e/job.json"):
            assert (await browser.get(f"{link}{name}")).status_code == 404
