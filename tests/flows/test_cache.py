"""Jobs that share a cache of outputs: what one has rendered, another takes, if all that decides it is the same."""

import json
import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from flows.render import render_job
from helios.models.report import JobReport, ReusedFrom
from helios.models.verification import VerifyLevel
from testbed.cloud.aws import Aws
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.flows.test_run_page import artifacts_of
from tests.flows.test_verify_levels import tries, verified_job
from tests.running import ended_task_runs, leftovers, render, resume

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for jobs' folders, a cache, and the notes of all commands."""
    (tmp_path / "notes").mkdir()
    return tmp_path


def film(place: Path, *, chunks: int = 4, **fields: Any) -> dict[str, Any]:
    """A job whose commands leave a note of each execution, and read the file `scene.txt`."""
    words = ["--notes", str(place / "notes"), *fields.pop("extra", ())]
    return make_job([5] * chunks, extra=words, outputFile="video.mp4", inputs=["scene.txt"], **fields)


async def render_in(folder: Path, job: dict[str, Any], *, scene: str = "a", **parameters: Any) -> JobReport:
    """Render a job in a folder of its own, with the cache beside it."""
    folder.mkdir(exist_ok=True)
    (folder / "scene.txt").write_text(scene)
    state, report = await render(folder, job, cache=str(folder.parent / "cache"), **parameters)
    assert state.is_completed(), state.message
    assert leftovers(folder) == []
    return report


def rendered(place: Path) -> list[int]:
    """The first frames of the chunks that were rendered since the last look."""
    notes = list((place / "notes").iterdir())
    found = sorted(int(note.name.partition("-")[0]) for note in notes)
    for note in notes:
        note.unlink()
    return found


def outputs(place: Path) -> list[Path]:
    """The outputs in the cache."""
    return sorted((place / "cache" / "outputs").iterdir())


async def test_a_longer_cut_renders_what_is_new(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job of another id and folder, with other output names and one more chunk, renders that chunk alone."""
    caplog.set_level(logging.INFO)
    report = await render_in(place / "first", film(place, id=f"first {place}"))
    assert rendered(place) == [0, 5, 10, 15]
    assert [chunk.reused_from for chunk in report.chunks] == [None] * 4
    longer = film(place, id=f"second {place}", chunks=5, name="scenes/shot {index}")
    report = await render_in(place / "second", longer)
    assert rendered(place) == [20]
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 4 + [None]
    assert [chunk.attempts for chunk in report.chunks] == [0] * 4 + [1]
    assert "4 of 5 chunks come from the cache" in caplog.text
    assert read_numbers(place / "second" / "video.mp4") == list(range(25))
    assert len(outputs(place)) == 5
    runs = await ended_task_runs(report, count=6)
    assert {run.name: run.state_name for run in runs if run.name in ("chunk-0", "chunk-4")} == {
        "chunk-0": "Cached", "chunk-4": "Completed",
    }  # fmt: skip
    table = json.loads((await artifacts_of(report.run_id))["render-chunks"]["data"])
    assert [row["state"] for row in table] == ["from the cache"] * 4 + ["completed"]


async def test_what_came_from_the_cache_is_on_record(place: Path) -> None:
    """An output that was copied from the cache is an accepted one: the next run reuses it where it lies."""
    await render_in(place / "first", film(place, chunks=2))
    report = await render_in(place / "second", film(place, id=f"second {place}", chunks=2))
    (place / "cache" / "helios-cache.json").unlink()
    for entry in (place / "cache" / "entries").iterdir():
        entry.unlink()
    (place / "second" / "video.mp4").unlink()
    _, report = await resume(report)
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.EARLIER_RUN] * 2
    assert rendered(place) == [0, 5]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"scene": "b"}, id="input"),
        pytest.param({"revision": "2"}, id="revision", marks=pytest.mark.slow),
        pytest.param({"fields": {"fps": 25}}, id="rate", marks=pytest.mark.slow),
        pytest.param({"extra": ["--sound"]}, id="command", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
async def test_what_is_rendered_otherwise_is_not_taken(place: Path, changed: dict[str, Any]) -> None:
    """A changed input, revision, rate or command renders; and both versions stay in the cache."""
    await render_in(place / "first", film(place, chunks=2))
    rendered(place)
    job = film(place, chunks=2, **changed.pop("fields", {}), extra=changed.pop("extra", ()))
    await render_in(place / "second", job, **changed)
    assert rendered(place) == [0, 5]
    await render_in(place / "third", film(place, chunks=2))
    await render_in(place / "fourth", job, **changed)
    assert rendered(place) == []
    assert len(list((place / "cache" / "entries").iterdir())) == 4


async def test_a_damaged_output_is_rendered(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An output that was damaged in the cache is not used: its chunk is rendered, and put there anew."""
    await render_in(place / "first", film(place, chunks=2))
    rendered(place)
    damaged = outputs(place)[0]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    report = await render_in(place / "second", film(place, chunks=2))
    assert len(rendered(place)) == 1
    assert sum(chunk.reused for chunk in report.chunks) == 1
    assert "its output in the cache was damaged, and is removed" in caplog.text
    assert damaged.read_bytes() == content
    await render_in(place / "third", film(place, chunks=2))
    assert rendered(place) == []


async def test_a_fresh_run_fills_the_cache(place: Path) -> None:
    """With `fresh`, and for chunks that are named, everything is rendered, and put into the cache."""
    await render_in(place / "first", film(place, chunks=2))
    rendered(place)
    await render_in(place / "second", film(place, chunks=2), fresh=True)
    assert rendered(place) == [0, 5]
    await render_in(place / "third", film(place, chunks=3), chunks=[1, 2])
    assert rendered(place) == [5, 10]
    await render_in(place / "fourth", film(place, chunks=3))
    assert rendered(place) == []


async def test_the_level_is_honoured(place: Path) -> None:
    """An output that was not decoded is decoded before it is taken at a higher level; a damaged one is rendered."""
    damaged_once = ("--misbehave", "damaged-times:1", "--only", "5")
    job = film(place, extra=damaged_once, chunks=2)
    (place / "second").mkdir()
    (place / "second" / "tries-5").write_text("x")  # the second job's command is sound
    await render_in(place / "first", job, verify="container")
    rendered(place)
    report = await render_in(place / "second", job, verify="decode")
    assert rendered(place) == [5]
    assert [chunk.verified for chunk in report.chunks] == [VerifyLevel.DECODE] * 2
    report = await render_in(place / "third", job, verify="container")
    assert rendered(place) == []
    assert [chunk.verified for chunk in report.chunks] == [VerifyLevel.DECODE] * 2


@pytest.mark.slow  # the next test has the same of outputs from the cache
async def test_outputs_with_wrong_pictures_leave_the_cache(place: Path) -> None:
    """An output whose pictures are found wrong after it was accepted is taken out of the cache again."""
    for name in ("first", "second"):
        (place / name).mkdir()
    job = verified_job("--fault", "early", "--times", "1", "--only", "32", inputs=[])
    state, _ = await render(place / "first", job, cache=str(place / "cache"))
    assert state.is_completed(), state.message
    assert tries(place / "first") == [1, 1, 2, 1]
    assert len(outputs(place)) == 4
    state, report = await render(place / "second", job, cache=str(place / "cache"))
    assert state.is_completed(), state.message
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 4
    assert report.warnings == ()


@pytest.mark.slow
async def test_wrong_pictures_from_the_cache_are_rendered_again(place: Path) -> None:
    """What the cache has is judged too: a wrong output in it leaves it, and its chunk is not looked for again."""
    for name in ("first", "second"):
        (place / name).mkdir()
    job = verified_job("--fault", "early", "--times", "1", "--only", "32", inputs=[])
    state, _ = await render(place / "first", job, cache=str(place / "cache"), verify="decode")
    assert (state.is_completed(), tries(place / "first")) == (True, [1, 1, 1, 1])
    wrong = set(outputs(place))
    (place / "second" / "tries-32").write_text("x")
    state, report = await render(place / "second", job, cache=str(place / "cache"))
    assert state.is_completed(), state.message
    assert [chunk.reused for chunk in report.chunks] == [True, True, False, True]
    assert len(set(outputs(place)) - wrong) == 1
    assert len(outputs(place)) == 4


async def test_an_output_that_fails_its_audit_leaves_the_cache(place: Path) -> None:
    """Outputs of the cache are audited too: where a second render differs, the output is taken out of the cache."""
    job = film(place, chunks=1)
    words = shlex.split(job["chunks"][0]["command"])
    script = 'program="$1 $2"; shift 3; exec $program $(if [ -e .other ]; then echo 7; else echo 0; fi) "$@"'
    job["chunks"][0]["command"] = shlex.join(["sh", "-c", script, "sh", *words])
    await render_in(place / "first", job)
    assert len(outputs(place)) == 1
    (place / "second").mkdir()
    (place / "second" / "scene.txt").write_text("a")
    (place / "second" / ".other").touch()
    state, report = await render(place / "second", job, cache=str(place / "cache"), audit=1.0)
    assert state.is_failed()
    assert report.chunks[0].reused_from is ReusedFrom.CACHE
    assert outputs(place) == []


async def test_an_input_that_changes_meanwhile(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was rendered after an input had changed is not put into the cache, where it would have the wrong key."""
    job = film(place, chunks=2)
    job["chunks"][0]["command"] = shlex.join(["sh", "-c", 'echo b > scene.txt; exec "$@"', "sh"]) + (
        " " + job["chunks"][0]["command"]
    )
    folder = place / "first"
    await render_in(folder, job, concurrency=1)
    assert "no more outputs are put into the cache" in caplog.text
    assert not (place / "cache" / "outputs").exists() or outputs(place) == []


async def test_a_cache_that_breaks_does_not_stop_the_run(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that can't be written any more is said once, and everything is rendered."""
    job = film(place, chunks=2)
    breaks = ["sh", "-c", f'rm -rf {place}/cache; touch {place}/cache; exec "$@"', "sh"]
    job["chunks"][0]["command"] = f"{shlex.join(breaks)} {job['chunks'][0]['command']}"
    report = await render_in(place / "first", job)
    assert report.frames == 10
    assert len(re.findall(r"cache \S+ is not used any more in this run", caplog.text)) == 1


async def test_a_cache_that_can_not_work_is_refused(place: Path) -> None:
    """A file in the place of a cache, a missing bucket and an unknown size are refused before anything runs."""
    (place / "file").write_text("")
    for parameters, said in (
        ({"cache": str(place / "file")}, "is not a folder"),
        ({"cache": str(place / "file" / "cache")}, "can't be used"),
        ({"cache": str(place / "cache"), "cache_size": "fifty"}, "'fifty' is not a size"),
        ({"cache": "http://host/x"}, "in no storage that is known"),
        ({"cache": str(place / "job" / "cache")}, "where its files would be inputs"),
    ):
        folder = place / "job"
        folder.mkdir(exist_ok=True)
        (folder / "scene.txt").write_text("")
        state: Any = await render_job(str(write_job(folder, film(place))), return_state=True, **parameters)
        assert state.is_failed()
        assert said in state.message
    assert rendered(place) == []


@pytest.mark.slow  # tests/helios/storage/test_output_cache.py has what leaves, without a flow
async def test_the_cache_keeps_its_size(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the end of a run the outputs that were used longest ago leave, until the cache has its size."""
    caplog.set_level(logging.INFO)
    await render_in(place / "first", film(place, chunks=2))
    size = sum(path.stat().st_size for path in (place / "cache").rglob("*") if path.is_file())
    await render_in(place / "second", film(place, chunks=2), scene="b", cache_size=f"{size * 1.1:.0f} B")
    assert "outputs left the cache" in caplog.text
    rendered(place)
    await render_in(place / "third", film(place, chunks=2), scene="b")
    assert rendered(place) == []


@pytest.mark.slow  # tests/cli/test_cache.py has a cache in a bucket
async def test_workers_elsewhere_share_the_cache(place: Path, amazon: Aws) -> None:
    """What workers in a cloud rendered is taken by a job on this machine, from a cache in a bucket."""
    cache = f"{amazon.storage_url}/cache-of-{place.name}"
    job = film(place, chunks=3)
    for name in ("first", "second"):
        (place / name).mkdir()
        (place / name / "scene.txt").write_text("a")
    state, _ = await render(place / "first", job, adapter=amazon.config, cache=cache)
    assert state.is_completed(), state.message
    rendered(place)
    state, report = await render(place / "second", job, cache=cache)
    assert state.is_completed(), state.message
    assert rendered(place) == []
    assert [chunk.reused_from for chunk in report.chunks] == [ReusedFrom.CACHE] * 3
