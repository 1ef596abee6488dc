"""Further files of a chunk go where its output goes."""

import logging
from pathlib import Path

from helios.job.own_outputs import OwnOutputs
from tasks.run.companions import Companions


def attempt(folder: Path, number: int, *endings: str) -> tuple[Path, Path]:
    """Files of an attempt: its private file, and companions with these endings; a folder where one ends in a slash."""
    private = folder / f"part-{number}-attempt-owner-token-1.mp4"
    private.write_text("video")
    for ending in endings:
        path = folder / f"{private.stem}{ending}"
        if ending.endswith("/"):
            path.mkdir()
            (path / "file").write_text(str(number))
        else:
            path.write_text(str(number))
    return private, folder / f"part-{number}.mp4"


def companions_in(folder: Path) -> Companions:
    """Companions of a run in a job directory."""
    return Companions(OwnOutputs(folder, "run"), logging.getLogger(__name__))


def test_companions_get_the_name_of_the_output(tmp_path: Path) -> None:
    """Files and folders named after the private file are named after the output."""
    companions = companions_in(tmp_path)
    for number in range(2):
        private, output = attempt(tmp_path, number, ".wav", ".mp4.json", "-depth/")
        companions.accept(private, output)
        private.replace(output)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        *("part-0-depth", "part-0.mp4", "part-0.mp4.json", "part-0.wav"),
        *("part-1-depth", "part-1.mp4", "part-1.mp4.json", "part-1.wav"),
    ]
    assert (tmp_path / "part-1.wav").read_text() == "1"


def test_an_ending_that_the_first_chunk_has_not(tmp_path: Path) -> None:
    """A companion that only a later chunk has is found at the end; another file of that name makes way."""
    companions = companions_in(tmp_path)
    (tmp_path / "part-1-depth").mkdir()
    (tmp_path / "part-1-depth" / "old").touch()
    for number, endings in enumerate([(".wav",), (".wav", ".log", "-depth/")]):
        private, output = attempt(tmp_path, number, *endings)
        companions.accept(private, output)
        private.replace(output)
    companions.sweep()
    assert (tmp_path / "part-1.log").read_text() == "1"
    assert [path.name for path in (tmp_path / "part-1-depth").iterdir()] == ["file"]
    assert not list(tmp_path.glob("*attempt*"))


def test_companions_of_a_failed_attempt(tmp_path: Path) -> None:
    """They are removed; those of another attempt, and an output that the command names itself, are left alone."""
    companions = companions_in(tmp_path)
    private, output = attempt(tmp_path, 2, ".wav")
    companions.remove(private, output)
    private.unlink()
    companions.accept(*attempt(tmp_path, 0, ".wav", "-depth/"))
    private, output = attempt(tmp_path, 1, ".wav", ".log", "-depth/")
    private.unlink()
    companions.remove(private, output)
    companions.sweep()
    companions.remove(output, output)
    companions.accept(output, output)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        *("part-0-depth", "part-0.mp4", "part-0.wav"),
    ]
