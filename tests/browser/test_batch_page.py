"""A batch in Prefect's UI, in a real browser: its table of rows, each linked to its run.

Needs Debian's chromium. Screenshots are kept in build/screenshots.
"""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from testbed.jobs import make_job, write_job
from tests.browser.test_ui import CHROMIUM, PATIENCE_MS, SHOTS
from tests.cli.test_up import Farm
from tests.command import helios_job

NAMES = ["Anna", "Bert", "C'est l'été", "Dora | Co", "Emil", "Fritz", "Gina", "Hugo", "Ida", "Jo"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium")
def test_a_batch_of_ten_titles(tmp_path: Path) -> None:
    """The page of a batch has a table with a line and a link for each row; the one that failed says why."""
    job = make_job((4,), name="{{name}}-{index}", extra=["--misbehave", "{fault}"], id="title")
    (tmp_path / "work").mkdir()
    write_job(tmp_path / "work", job)
    rows = [json.dumps({"name": name, "fault": "no-output" if name == "Hugo" else ""}) for name in NAMES]
    (tmp_path / "work" / "names.jsonl").write_text("\n".join(rows))
    farm = Farm(tmp_path / "home")
    try:
        words = ("--output", "out/{name}.mp4", "--retries", 0, "--at-once", 2)
        done = helios_job("batch", "job.json", "names.jsonl", *words, cwd=tmp_path / "work", env=farm.environment)
        assert "1 of 10 rows failed: row 8" in done.stderr
        run = done.stderr.split("--failed-of ")[1].split()[0]
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
            page.set_default_timeout(PATIENCE_MS)
            page.goto(farm.new_link())
            page.wait_for_url("**/dashboard**")
            expect(page.get_by_text("Dashboard").first).to_be_visible(timeout=PATIENCE_MS)
            page.goto(f"http://127.0.0.1:{farm.port}/runs/flow-run/{run}")
            page.get_by_text("Artifacts", exact=True).first.click()
            # The flow has the same name, in the page's head; the card of the artifact comes after it.
            expect(page.get_by_text("render-batch", exact=True)).to_have_count(2, timeout=PATIENCE_MS)
            SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOTS / "batch-run.png", full_page=True)
            page.get_by_text("render-batch", exact=True).last.click()
            page.wait_for_url("**/artifacts/artifact/**")
            links = page.locator("table a")
            expect(links).to_have_count(10, timeout=PATIENCE_MS)
            expect(page.get_by_text("9 of 10 rows are done.")).to_be_visible()
            expect(page.locator("table tr").nth(8)).to_contain_text("failed")
            expect(page.locator("table tr").nth(4)).to_contain_text("Dora | Co.mp4: 4 frames")
            page.screenshot(path=SHOTS / "batch.png", full_page=True)
            link = links.nth(2).get_attribute("href")
            page.goto(f"http://127.0.0.1:{farm.port}{link}")
            expect(page.get_by_text("-row-3").first).to_be_visible(timeout=PATIENCE_MS)
            browser.close()
    finally:
        farm.stop()
