"""Outputs of jobs may be replaced; any other file is moved aside, and never removed."""

import os
from pathlib import Path

import pytest

from helios.job import own_outputs
from helios.job.own_outputs import NOTES, OwnOutputs


def test_an_output_is_known_by_every_later_run(tmp_path: Path) -> None:
    """An accepted output is no file of somebody's, for this run and later ones, until it is changed."""
    output = tmp_path / "parts/a.mp4"
    output.parent.mkdir()
    output.write_bytes(b"accepted")
    OwnOutputs(tmp_path, "run-1").note(output)
    later = OwnOutputs(tmp_path, "run-2")
    assert later.set_aside(output) is None
    assert later.set_aside(tmp_path / "missing.mp4") is None
    output.write_bytes(b"edited by hand")
    moved = OwnOutputs(tmp_path, "run-3").set_aside(output)
    assert moved is not None
    assert not output.exists()
    assert moved.place.read_bytes() == b"edited by hand"
    assert ".helios/replaced/run-3/parts/a.mp4" in str(moved)


def test_what_was_set_aside_can_be_put_back(tmp_path: Path) -> None:
    """A file gets its name back, unless something else has it by now; a second one does not replace the first."""
    path, outputs = tmp_path / "frame.png", OwnOutputs(tmp_path, "run")
    path.write_bytes(b"mine")
    moved = outputs.set_aside(path)
    assert moved is not None
    moved.put_back()
    assert path.read_bytes() == b"mine"
    first = outputs.set_aside(path)
    path.write_bytes(b"new")
    second = outputs.set_aside(path)
    assert first is not None
    assert second is not None
    path.write_bytes(b"newer")
    first.put_back()
    assert [file.read_bytes() for file in (path, first.place, second.place)] == [b"newer", b"mine", b"new"]


def test_a_link_is_moved_and_its_target_stays(tmp_path: Path) -> None:
    """A link with an output's name is moved as a link, also a broken one; a video elsewhere is known by its path."""
    target, link = tmp_path / "film.mp4", tmp_path / "job/out.mp4"
    link.parent.mkdir()
    target.write_bytes(b"film")
    link.symlink_to(target)
    outputs = OwnOutputs(link.parent, "run")
    moved = outputs.set_aside(link)
    assert moved is not None
    assert moved.place.is_symlink()
    assert target.read_bytes() == b"film"
    outputs.note(target)
    assert OwnOutputs(link.parent, "run-2").is_own(target)


def test_torn_and_old_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn line costs nothing else; notes of which most are out of date are written anew."""
    output = tmp_path / "a.mp4"
    for content in (b"1", b"22", b"333"):
        output.write_bytes(content)
        OwnOutputs(tmp_path, "run").note(output)
    with (tmp_path / NOTES).open("ab") as file:
        file.write(b'["b.mp4", 1')
    monkeypatch.setattr(own_outputs, "MANY_LINES", 2)
    assert OwnOutputs(tmp_path, "run").is_own(output)
    assert len((tmp_path / NOTES).read_text().splitlines()) == 1
    assert os.listdir(tmp_path / ".helios") == ["outputs.jsonl"]
