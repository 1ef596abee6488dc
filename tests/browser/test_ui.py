"""Prefect's UI in a real browser: from the form to the video, watched, cancelled, and started by a schedule.

Needs Debian's chromium. Screenshots are kept in build/screenshots.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from testbed.cloud.processes import ROOT
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.cli.test_up import Farm
from tests.command import ask_api, until
from tests.conftest import ProcessesOf

CHROMIUM = Path("/usr/bin/chromium")
SHOTS = ROOT / "build" / "screenshots"
PATIENCE_MS = 120_000
pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium"),
    pytest.mark.slow,  # three minutes on two slow CPUs; test_foreign_page.py has the server's pages in a browser
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm for all tests of this module."""
    farm = Farm(tmp_path_factory.mktemp("farm"))
    yield farm
    farm.stop()


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser's page, in one of Prefect's themes."""
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
        page.add_init_script(f"localStorage['color-scheme'] = JSON.stringify('{request.param}')")
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


class Ui:
    """The actions of a person in Prefect's UI."""

    def __init__(self, farm: Farm, page: Page, theme: str) -> None:
        self.farm = farm
        self.page = page
        self.theme = theme
        self.url = f"http://127.0.0.1:{farm.port}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Query the server for what the browser does not show."""
        return ask_api(method, f"{self.url}/api{path}", body, auth=self.farm.auth)

    def deployment(self) -> str:
        """The id of render-job/local."""
        return str(self.ask("GET", "/deployments/name/render-job/local")["id"])

    def deploy(self, name: str, **parameters: Any) -> str:
        """Make a deployment like render-job/local, with parameters of its own; return its id."""
        local = self.ask("GET", "/deployments/name/render-job/local")
        kept = ("flow_id", "entrypoint", "pull_steps", "work_pool_name", "parameter_openapi_schema")
        body = {field: local[field] for field in kept} | {"name": name, "parameters": parameters}
        return str(self.ask("POST", "/deployments/", body)["id"])

    def submit(self, job: Path, video: Path, *, name: str | None = None) -> str:
        """Fill in the form and submit it; return the run's id."""
        page, deployment = self.page, self.deployment()
        before = {run["id"] for run in self._runs(deployment)}
        page.goto(f"{self.url}/deployments/deployment/{deployment}/run")
        expect(page.get_by_text("Job document", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        page.locator("textarea").first.fill(str(job))
        page.get_by_text("path or URL", exact=True).nth(1).click()
        page.locator("textarea").nth(1).fill(str(video))
        if name is not None:
            page.locator(".flow-run-name-input input").fill(name)
        page.locator("textarea").first.scroll_into_view_if_needed()
        self.shoot("form")
        made: set[str] = set()

        def is_made() -> bool:
            # The server answers 503 while SQLite is busy, and the form stays: a person presses the button again.
            if (button := page.get_by_role("button", name="Submit")).is_visible():
                self.shoot("submit")
                with page.expect_response(re.compile("/create_flow_run$")):
                    button.click()
            made.update({run["id"] for run in self._runs(deployment)} - before)
            return bool(made)

        until(is_made)
        return made.pop()

    def open_run(self, run: str, tab: str) -> None:
        """Open a tab of a run's page."""
        self.page.goto(f"{self.url}/runs/flow-run/{run}")
        self.page.get_by_text(tab, exact=True).first.click()

    def open_artifact(self, run: str, key: str) -> None:
        """Open one of a run's artifacts by its card."""
        self.open_run(run, "Artifacts")
        self.page.get_by_text(key, exact=True).last.click()
        self.page.wait_for_url("**/artifacts/artifact/**")

    def state(self, run: str) -> str:
        """Return the name of a run's state."""
        return str(self.ask("GET", f"/flow_runs/{run}")["state"]["name"])

    def shoot(self, name: str) -> None:
        """Save a screenshot of the page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}-{self.theme}.png", full_page=True)

    def _runs(self, deployment: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask(
            "POST", "/flow_runs/filter", {"deployments": {"id": {"any_": [deployment]}}, "sort": "START_TIME_DESC"}
        )
        return found


@pytest.fixture
def ui(farm: Farm, page: Page, request: pytest.FixtureRequest) -> Ui:
    """The UI of the farm, opened by a link."""
    page.goto(farm.new_link())
    page.wait_for_url("**/dashboard**")
    # The UI checks the credential as it starts, and forgets it if a new page interrupts that.
    expect(page.get_by_text("Dashboard").first).to_be_visible(timeout=PATIENCE_MS)
    return Ui(farm, page, request.node.callspec.params["page"])


def test_from_the_form_to_the_video(ui: Ui, tmp_path: Path) -> None:
    """A job from the form shows its progress while it runs, then its timeline, chunks and the video's contact sheet."""
    gate, page = tmp_path / "gate", ui.page
    gate.mkdir()
    path = write_job(tmp_path, make_job([5] * 6, extra=["--misbehave", f"until:{gate}"]))
    (gate / "0").touch()
    run = ui.submit(path, tmp_path / "video.mp4", name="beta-cut")
    until(lambda: ui.state(run) == "Running")
    ui.open_artifact(run, "render-progress")
    _is_said(ui, run, "rendering: 5 of 30 frames, 1 of 6 chunks")
    ui.shoot("progress")
    for start in range(5, 30, 5):
        (gate / str(start)).touch()
    until(lambda: ui.state(run) == "Completed")
    assert ui.ask("GET", f"/flow_runs/{run}")["name"] == "beta-cut"
    _is_said(ui, run, "done: 30 of 30 frames, 6 of 6 chunks")
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    ui.open_run(run, "Artifacts")
    expect(page.get_by_text("render-video", exact=True).last).to_be_visible(timeout=PATIENCE_MS)
    ui.shoot("run")
    _is_readable(page, ui.theme)
    for key in ("render-timeline", "render-video"):
        ui.open_artifact(run, key)
        picture = page.locator("img[src^='data:image']").first
        expect(picture).to_be_visible(timeout=PATIENCE_MS)
        assert picture.evaluate("image => image.complete && image.naturalWidth") > 200
        ui.shoot(key)
    expect(page.get_by_text(f"{tmp_path}/video.mp4").first).to_be_visible()
    ui.open_artifact(run, "render-chunks")
    expect(page.get_by_role("link", name="log")).to_have_count(6, timeout=PATIENCE_MS)
    ui.shoot("chunks")
    # Prefect opens links of artifacts in a tab of their own.
    link = page.get_by_role("link", name="log").nth(2).get_attribute("href")
    page.goto(f"{ui.url}{link}")
    expect(page.get_by_text("Accepted: frames").first).to_be_visible(timeout=PATIENCE_MS)
    ui.shoot("chunk")


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_cancel(ui: Ui, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """The Cancel button on a run's page makes the run Cancelled, and ends its commands."""
    path = write_job(tmp_path, make_job([5] * 2, extra=["--misbehave", f"until:{tmp_path}"]))
    run = ui.submit(path, tmp_path / "video.mp4")
    until(lambda: ui.state(run) == "Running")
    ui.open_run(run, "Logs")
    expect(ui.page.get_by_text("in 2 chunks").first).to_be_visible(timeout=PATIENCE_MS)
    ui.page.get_by_role("button", name="Cancel").first.click()
    dialog = ui.page.get_by_role("dialog").or_(ui.page.locator(".p-modal"))
    dialog.get_by_role("button", name=re.compile("Cancel Run|Cancel$|Confirm")).last.click()
    until(lambda: ui.state(run) == "Cancelled")
    assert processes_of(tmp_path) == []
    ui.page.reload()
    expect(ui.page.get_by_text("Cancelled").first).to_be_visible(timeout=PATIENCE_MS)
    ui.shoot("cancelled")


@pytest.mark.parametrize("page", ["dark"], indirect=True)
def test_pause_and_resume(ui: Ui, tmp_path: Path) -> None:
    """After Suspend on a run's page chunks in flight finish; after Resume the others are rendered."""
    (tmp_path / "notes").mkdir()
    words = ["--notes", str(tmp_path / "notes"), "--misbehave", f"until:{tmp_path}"]
    path = write_job(tmp_path, make_job([5] * 9, extra=words))
    run, page = ui.submit(path, tmp_path / "video.mp4"), ui.page
    until(lambda: list((tmp_path / "notes").iterdir()))
    ui.open_run(run, "Logs")
    page.get_by_role("button", name="Suspend").first.click()
    page.locator(".p-modal").get_by_role("button", name="Submit").click()
    until(lambda: ui.state(run) == "Suspended")
    _is_said(ui, run, "paused")
    (tmp_path / "all").touch()
    ui.open_run(run, "Logs")
    expect(page.get_by_text(re.compile("Suspended: . of 9 chunks are accepted")).first).to_be_visible(
        timeout=PATIENCE_MS
    )
    ui.shoot("paused")
    page.get_by_role("button", name="Resume").first.click()
    page.locator(".p-modal").get_by_role("button", name="Submit").click()
    until(lambda: ui.state(run) == "Completed")
    assert len(list((tmp_path / "notes").iterdir())) == 9
    assert read_numbers(tmp_path / "video.mp4") == list(range(45))


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_run_of_a_schedule_comes_by_itself(ui: Ui, tmp_path: Path) -> None:
    """A schedule's run is rendered, and is listed on the page of runs."""
    path = write_job(tmp_path, make_job([5] * 2))
    parameters = {"job": str(path), "output_file": str(tmp_path / "{date}.mp4"), "overwrite": True}
    schedule = {"schedule": {"interval": 5}, "active": True, "parameters": parameters}
    made = ui.ask("POST", f"/deployments/{ui.deployment()}/schedules", [schedule])
    try:
        until(lambda: list(tmp_path.glob("20*.mp4")))
    finally:
        for schedule in made:
            ui.ask("DELETE", f"/deployments/{ui.deployment()}/schedules/{schedule['id']}")
    ui.page.goto(f"{ui.url}/runs")
    expect(ui.page.get_by_text(re.compile(r"^job-\w{6}$")).first).to_be_visible(timeout=PATIENCE_MS)
    ui.shoot("runs")


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_a_schedule_made_in_the_dialog(ui: Ui, tmp_path: Path) -> None:
    """A schedule whose dialog sent null for each empty field renders the deployment's video, in its job folder."""
    page = ui.page
    for folder in ("document", "work"):
        (tmp_path / folder).mkdir()
    path = write_job(tmp_path / "document", make_job([5] * 2))
    said = {"job_dir": str(tmp_path / "work"), "output_file": str(tmp_path / "{date}.mp4"), "overwrite": True}
    deployment = ui.deploy("nightly-film", job=str(path), **said)
    page.goto(f"{ui.url}/v2/deployments/deployment/{deployment}")
    found: list[dict[str, Any]] = []

    def is_made() -> bool:
        # As in the form of a run: the server answers 503 while SQLite is busy.
        page.get_by_role("button", name="Schedule", exact=True).first.click()
        page.get_by_label("Value", exact=True).fill("1")
        ui.shoot("schedule")
        with page.expect_response(re.compile("/schedules$")):
            page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_be_hidden(timeout=PATIENCE_MS)
        found[:] = ui.ask("GET", f"/deployments/{deployment}/schedules")
        return bool(found)

    until(is_made)
    # What the dialog does with fields that nobody touched.
    assert {found[0]["parameters"][name] for name in said} == {None}
    try:
        until(lambda: list(tmp_path.glob("20*.mp4")))
    finally:
        ui.ask("DELETE", f"/deployments/{deployment}")
    # The schedule's next run may have begun, and renders them again.
    until(lambda: len(list((tmp_path / "work").glob("chunk ?.mp4"))) == 2)
    assert list((tmp_path / "document").glob("chunk*")) == []


def _is_said(ui: Ui, run: str, text: str) -> None:
    """Reload the progress until it shows a text: the page does not update itself."""

    def look() -> bool:
        ui.open_artifact(run, "render-progress")
        try:
            expect(ui.page.get_by_text(text).first).to_be_visible(timeout=5_000)
        except AssertionError:
            return False
        return True

    until(look)


def _is_readable(page: Page, theme: str) -> None:
    """Check that the page has the theme's ground, and text with a contrast of more than 4.5 (WCAG)."""
    colours = page.evaluate("() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; }")
    text, ground = (_luminance(colour) for colour in colours)
    assert (ground < 0.2) == (theme == "dark"), colours
    assert (max(text, ground) + 0.05) / (min(text, ground) + 0.05) > 4.5, colours


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
