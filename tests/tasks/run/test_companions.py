"""Further files of a chunk go where its output goes."""

import logging
import shutil
from pathlib import Path

import pytest

from helios.errors import OutputError
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


def companions_in(folder: Path, *taken: str) -> Companions:
    """Companions of a run in a job directory, some of whose names are taken."""
    names = {str(folder / name) for name in taken}
    return Companions(OwnOutputs(folder, "run"), names, logging.getLogger(__name__))


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


def test_companions_replace_no_other_file_of_the_job(tmp_path: Path) -> None:
    """A companion with the name of the document, of another output or of .helios is refused, also one found late."""
    companions = companions_in(tmp_path, "part-0.json", "part-1-2.mp4")
    (tmp_path / "part-0.json").write_text("the document")
    private, output = attempt(tmp_path, 0, ".json")
    with pytest.raises(OutputError, match=r"which would get the name of .*/part-0\.json, another file of this job"):
        companions.accept(private, output)
    companions.remove(private, output)
    companions.accept(*attempt(tmp_path, 1, "-2.mp4"))
    with pytest.raises(OutputError, match=r"part-1-2\.mp4"):
        companions.sweep()
    (tmp_path / "hidden").mkdir()
    own = tmp_path / "hidden" / ".helios-attempt-owner-token-1.mp4"
    own.with_suffix("").mkdir()
    with pytest.raises(OutputError, match=r"hidden/\.helios, another file"):
        companions_in(tmp_path).accept(own, own.with_name(".helios.mp4"))
    assert (tmp_path / "part-0.json").read_text() == "the document"
    assert not (tmp_path / "part-1-2.mp4").exists()


def test_companions_through_links(tmp_path: Path) -> None:
    """Links among companions, and in their places, are moved and removed as links; a swapped folder is refused."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "job"
    for path in (elsewhere, folder):
        path.mkdir()
    (elsewhere / "file").write_text("safe")
    companions = companions_in(folder)
    private, output = attempt(folder, 0, ".log")
    for ending in (".wav", "-depth"):
        (folder / f"{private.stem}{ending}").symlink_to(elsewhere)
    (folder / "part-0.log").symlink_to(elsewhere / "file")
    (folder / "part-0-depth").symlink_to(elsewhere)
    companions.accept(private, output)
    private.replace(output)
    assert (folder / "part-0.wav").readlink() == elsewhere
    assert (folder / "part-0.log").read_text() == "0"
    private, output = attempt(folder, 1, ".log", "-depth/")
    (folder / f"{private.stem}-depth" / "link").symlink_to(elsewhere)
    (folder / f"{private.stem}.wav").symlink_to(elsewhere)
    companions.remove(private, output)
    private, output = attempt(folder, 2, ".log")
    shutil.copytree(folder, elsewhere / "copy", symlinks=True)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(elsewhere / "copy")
    with pytest.raises(OSError, match="Not a directory"):
        companions.accept(private, output)
    with pytest.raises(OSError, match="Not a directory"):
        companions.sweep()
    assert (elsewhere / "file").read_text() == "safe"
    assert (elsewhere / "copy" / f"{private.stem}.log").exists()
