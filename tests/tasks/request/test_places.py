"""What several places have in common: their inputs, their variables, one storage, and who may name them."""

from pathlib import Path
from typing import Any

import pytest

from tasks.request.inline import _holds_more
from tasks.request.prepare import PreparedJob, prepare
from tasks.request.request import RenderRequest
from testbed.jobs import make_job

HERE: dict[str, Any] = {"type": "local", "env": {"QUALITY": "best", "FONT": "a"}}


def elsewhere(folder: Path, **settings: Any) -> dict[str, Any]:
    """Workers elsewhere, which nobody asks for anything."""
    store = (folder / "store").as_uri()
    return {"type": "cloud-run", "storage": store, "service_url": "http://127.0.0.1:1", **settings}


def prepared(folder: Path, *places: Any) -> PreparedJob:
    """The job of a request for some places."""
    (folder / "job").mkdir(exist_ok=True)
    return prepare(RenderRequest(make_job(), adapter=list(places), job_dir=str(folder / "job")))


def test_inputs_are_what_one_of_the_places_reads(tmp_path: Path) -> None:
    """All of the directory, if one place is on this disk; else what any of them gets."""
    for name in ("scene/a.blend", "fonts/b.ttf"):
        (tmp_path / "job" / name).parent.mkdir(parents=True)
        (tmp_path / "job" / name).write_text(name)
    scene, fonts = elsewhere(tmp_path, assets=["scene/**"]), elsewhere(tmp_path, assets=["fonts/*", "scene/**"])
    other = {"adapter": fonts, "name": "other"}
    assert prepared(tmp_path, scene, other).input_rules.patterns == ("scene/**", "fonts/*")
    assert prepared(tmp_path, scene, HERE).input_rules.patterns is None
    assert prepared(tmp_path, scene).input_rules.patterns == ("scene/**",)


def test_variables_that_differ_count_with_each_value(tmp_path: Path) -> None:
    """A variable that two places set alike is one input; one that differs is two, with their names."""
    second = {"adapter": {**HERE, "env": {"QUALITY": "best", "FONT": "b"}}, "name": "second"}
    assert prepared(tmp_path, HERE, second).input_rules.variables == {
        "QUALITY": "best", "FONT (local)": "a", "FONT (second)": "b"
    }  # fmt: skip


def test_second_attempts_are_given_where_a_place_is_elsewhere(tmp_path: Path) -> None:
    """The default share is that of workers elsewhere; nobody has named it, so this disk gets no two attempts."""
    job = prepared(tmp_path, HERE, elsewhere(tmp_path))
    assert (job.hedge, job.is_hedge_named) == (0.05, False)
    assert prepared(tmp_path, HERE).hedge == 0.0


async def test_places_in_one_storage_keep_folders_apart(tmp_path: Path) -> None:
    """Their documents may differ; a site that is opened later calls off nobody of the same run."""
    (tmp_path / "job").mkdir()
    first, second = prepared(tmp_path, elsewhere(tmp_path), {"adapter": elsewhere(tmp_path), "name": "b"}).places
    for place in (first, second):
        await place.site.open("job-1", "token", tell=lambda _line: None, on_upload=lambda: None, known={})
    written = sorted(path.parent.name for path in (tmp_path / "store" / "jobs" / "job-1" / "token").rglob("*.json"))
    assert len(set(written)) == len(written)
    assert first.site is not second.site
    assert await first.site.clean("job-1") == len(written)


def test_names_are_no_settings() -> None:
    """A caller who may give no settings may name places and their bounds."""
    assert not _holds_more(["local", {"adapter": "farm", "concurrency": 3}])
    assert not _holds_more("local")
    for attack in ([{"type": "local", "env": {"BASH_ENV": "x"}}], [{"adapter": {"type": "local"}}], [["x", {"a": 1}]]):
        assert _holds_more(attack)


@pytest.mark.parametrize("adapter", [{"adapter": "local", "concurrency": 1}])
def test_a_bound_without_a_list(tmp_path: Path, adapter: Any) -> None:
    """One entry with a bound has to be in a list, and the error names what is missing."""
    with pytest.raises(Exception, match="has no type"):
        RenderRequest(make_job(), adapter=adapter, job_dir=str(tmp_path)).check()
