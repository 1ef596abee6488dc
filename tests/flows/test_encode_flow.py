"""The flow `encode`: a source is looked at by tasks, and its job is a run below."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State

from flows.encode import encode
from helios.encode import pieces
from helios.models.report import JobReport
from tasks.run.errors import JobEndedError
from testbed.encodes import Film, decoded, write_film
from testbed.video import damage
from tests.running import report_of

pytestmark = pytest.mark.usefixtures("prefect_api")
CLOSED = (("x264-params", "keyint=15:bframes=3:open-gop=0:scenecut=0:log-level=error"),)
FILM = Film(frames=90, sound=("aac",), options=CLOSED)


async def run(source: Path, output: Path, **parameters: Any) -> State[Any]:
    """Run the flow, without loss unless it is told another codec."""
    wanted = {"codec": "ffv1", "shortest": 0.5} | parameters
    return cast(State[Any], await encode(str(source), str(output), **wanted, return_state=True))


async def looks_of(client: PrefectClient, state: State[Any]) -> dict[str, str]:
    """The states of the tasks that looked at the source, by name."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    body = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
    for _ in range(100):
        found = (await client.request("POST", "/task_runs/filter", json=body)).json()
        looks = {one["name"]: one["state_name"] for one in found if one["name"].startswith("analyse-")}
        if looks and set(looks.values()) <= {"Completed", "Cached", "Failed"}:
            return looks
        await asyncio.sleep(0.2)
    raise AssertionError(found)


async def test_an_encode_is_a_run(client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are tasks, whose results serve another run of a copy with other settings; chunks are a run below."""
    monkeypatch.setattr(pieces.pieces_of, "__kwdefaults__", {"seconds": 1})
    source = write_film(tmp_path / "film.mkv", FILM)
    state = await run(source, tmp_path / "out.mkv")
    report = await report_of(state)
    assert isinstance(report, JobReport), state.message
    assert [picture for _, picture in decoded(tmp_path / "out.mkv")] == [picture for _, picture in decoded(source)]
    looks = await looks_of(client, state)
    assert len(looks) > 1
    assert set(looks.values()) == {"Completed"}
    below = await client.read_flow_run(UUID(report.run_id))
    assert below.id != state.state_details.flow_run_id
    assert below.name.endswith("-job")
    (tmp_path / "else").mkdir()
    copy = tmp_path / "else" / "copy.mkv"
    copy.write_bytes(source.read_bytes())
    again = await run(copy, tmp_path / "else" / "again.mp4", codec="x264", crf=30)
    assert again.is_completed(), again.message
    assert set((await looks_of(client, again)).values()) == {"Cached"}


async def test_a_second_run_reuses_chunks(tmp_path: Path) -> None:
    """The same encode once more renders nothing; an empty field means its default."""
    source = write_film(tmp_path / "film.mkv", replace(FILM, frames=30))
    for reused in (False, True):
        report = await report_of(await run(source, tmp_path / "out.mkv", cut="0.5", fps="", crf=None, job_dir=None))
        assert isinstance(report, JobReport)
        assert {chunk.reused for chunk in report.chunks} == {reused}


async def test_what_an_encode_refuses(client: PrefectClient, tmp_path: Path) -> None:
    """A damaged source, a bad setting, an unknown option: the run fails with one line, and nothing is rendered."""
    source = write_film(tmp_path / "film.mkv", replace(FILM, size=(256, 256)))
    damage(source, 40)
    for parameters, told in (
        ({}, "film.mkv is damaged"),
        ({"codec": "x264", "cut": "often"}, "--cut 'often'"),
        ({"options": {"chunks": [1]}}, "'chunks' is no parameter"),
        ({"options": {"concurrency": 0}}, "render-job does not take these options"),
    ):
        state = await run(source, tmp_path / "out.mkv", **cast(dict[str, Any], parameters))
        assert state.is_failed()
        assert told in (state.message or "")
        assert isinstance(await state.aresult(raise_on_failure=False), JobEndedError)
    assert not (tmp_path / "out.mkv").exists()
