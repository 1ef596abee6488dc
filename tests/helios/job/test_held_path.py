"""Nothing is written through a folder that became a link."""

import os
from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.job.file_digests import read_json, replace_json
from helios.job.held_path import MOST_OPEN, HeldFolders, LinkedFolderError, held_path, make_folder, open_own
from helios.job.kept_document import keep_document
from helios.job.own_outputs import OwnOutputs, check_outputs_are_not_read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "job" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "job"


def swap(folder: Path) -> None:
    """Put a link that leads out of the job directory in the place of a folder."""
    folder.rename(folder.with_name(f"{folder.name}.moved"))
    folder.symlink_to(_elsewhere(folder))


def _elsewhere(folder: Path) -> Path:
    return next(above for above in folder.parents if above.name == "job").parent / "elsewhere"


@pytest.mark.parametrize("which", ["a", "a/b"])
def test_a_folder_that_was_swapped_for_a_link(root: Path, which: str) -> None:
    """A folder on the way that became a link is refused, and nothing is made or written behind it."""
    swap(root / which)
    with (
        pytest.raises(LinkedFolderError, match="is a link, and was expected to be a folder"),
        held_path(root / "a" / "b" / "c.mp4", root=root, make=True),
    ):
        pass
    with pytest.raises(LinkedFolderError):
        make_folder(root / "a" / "b" / "c", root=root)
    assert list(_elsewhere(root / "a").iterdir()) == []


def test_a_folder_that_is_swapped_while_it_is_held(root: Path) -> None:
    """What is written goes to the folder that was opened, under whatever name that is by now."""
    (root / "a" / "b" / "attempt").write_text("output")
    with held_path(root / "a" / "b" / "attempt", root=root) as held:
        swap(root / "a")
        held.replace(held.with_name("c.mp4"))
    assert (root / "a.moved" / "b" / "c.mp4").read_text() == "output"
    assert list(_elsewhere(root / "a").iterdir()) == []


def test_errors_name_the_file_by_its_own_path(root: Path) -> None:
    """An error that names a file by the handle names it by its path."""
    with pytest.raises(FileNotFoundError) as caught, held_path(root / "a" / "none", root=root) as held:
        held.rename(held.with_name("other"))
    assert (caught.value.filename, caught.value.filename2) == (str(root / "a" / "none"), str(root / "a" / "other"))


def test_files_of_its_own_are_no_links(root: Path) -> None:
    """A log, a note or a list that has become a link is not written through; nor is a folder of them."""
    victim = _elsewhere(root / "a") / "victim"
    victim.write_text("safe")
    (root / ".helios" / "logs" / "run").mkdir(parents=True)
    (root / ".helios" / "logs" / "run" / "chunk.log").symlink_to(victim)
    (root / ".helios" / "outputs.jsonl").symlink_to(victim)
    (root / "out.mp4").write_text("output")
    with pytest.raises(OSError, match="symbolic links"):
        open_own(root / ".helios" / "logs" / "run" / "chunk.log", os.O_WRONLY | os.O_APPEND, root=root)
    outputs = OwnOutputs(root, "run")
    outputs.note(root / "out.mp4")  # in a file of its own, which replaced the link
    assert outputs.is_own(root / "out.mp4")
    (root / "theirs.mp4").write_text("theirs")
    (root / ".helios" / "inputs").symlink_to(victim.parent)
    (root / ".helios" / "replaced").symlink_to(victim.parent)
    with pytest.raises(LinkedFolderError):
        replace_json(root / ".helios" / "inputs" / "victim", {})
    with pytest.raises(LinkedFolderError):
        outputs.set_aside(root / "theirs.mp4")
    assert (victim.read_text(), (root / "theirs.mp4").read_text()) == ("safe", "theirs")
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]


def test_files_of_its_own_are_files_of_one_name(root: Path) -> None:
    """A pipe is not waited for, a file with a second name is not written to, and a huge one is not read."""
    own, victim = root / ".helios", _elsewhere(root / "a") / "victim"
    (own / "inputs").mkdir(parents=True)
    victim.write_text("safe")
    os.mkfifo(own / "pipe")
    (own / "hard").hardlink_to(victim)
    for name, what in (("pipe", "No regular file|No such device"), ("hard", "second name")):
        with pytest.raises(OSError, match=what):
            open_own(own / name, os.O_WRONLY | os.O_TRUNC, root=root)
    for notes in (own / "outputs.jsonl", own / "inputs" / "digests.json"):
        os.mkfifo(notes)
    (root / "out.mp4").write_text("output")
    assert read_json(own / "inputs" / "digests.json") == {}
    OwnOutputs(root, "run").note(root / "out.mp4")
    (own / "copy").hardlink_to(own / "outputs.jsonl")
    before = (own / "copy").read_bytes()
    (root / "more.mp4").write_text("output")
    OwnOutputs(root, "run").note(root / "more.mp4")
    later = OwnOutputs(root, "run")
    assert [later.is_own(root / name) for name in ("out.mp4", "more.mp4")] == [True, True]
    assert ((own / "copy").read_bytes(), victim.read_text()) == (before, "safe")
    os.truncate(own / "outputs.jsonl", 400 * 10**9)
    assert not OwnOutputs(root, "run").is_own(root / "out.mp4")


@pytest.mark.parametrize("leads", [".", "nowhere"])
@pytest.mark.parametrize("name", [".helios", ".helios/logs", ".helios/inputs"])
def test_a_link_in_the_place_of_its_own_folder(root: Path, name: str, leads: str) -> None:
    """A job directory whose .helios is a link, or has one, is refused before anything runs; also one to nowhere."""
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(_elsewhere(root / "a") / leads)
    with pytest.raises(RequestError, match="own files would be written there"):
        JobDirectory(root).check_own_folders(root)


def test_leftovers_behind_a_link_stay(root: Path) -> None:
    """Leftovers of attempts are removed from the outputs' own folders alone."""
    directory = JobDirectory(root)
    left = _elsewhere(root / "a") / "c-attempt-0123456789ab-1.mp4"
    left.touch()
    output = directory.output("a/b/c.mp4")
    swap(root / "a" / "b")
    with pytest.raises(LinkedFolderError):
        directory.remove_attempts([output], owner="0123456789ab")
    assert left.exists()


def test_an_output_with_the_name_of_a_file_that_is_read(root: Path) -> None:
    """An output may not be the document, the sound or a named input, by any of their names."""
    (root / "job.json").write_text("{}")
    (root / "a" / "hard.mp4").hardlink_to(root / "job.json")
    (root / "soft.mp4").symlink_to("job.json")
    for output in (root / "job.json", root / "a" / "hard.mp4", root / "soft.mp4"):
        with pytest.raises(RequestError, match="is the job document, .*, which it would replace"):
            check_outputs_are_not_read([root / "other.mp4", output], {"the job document": [root / "job.json"]})
    missing = {"a named input file": [root / "a" / ".." / "none"]}
    with pytest.raises(RequestError, match="named input"):
        check_outputs_are_not_read([root / "none"], missing)
    check_outputs_are_not_read([root / "other.mp4"], {"the job document": [root / "job.json"], **missing})


@pytest.mark.parametrize("which", ["a", "a/b"])
def test_a_folder_that_stayed_open_and_was_swapped(root: Path, which: str) -> None:
    """A folder that was used before is refused once its path has a link, and what replaced it is used if it is real."""
    folders, file = HeldFolders(root), root / "a" / "b" / "c.mp4"
    with folders.held_path(file) as held:
        held.write_text("first")
    swap(root / which)
    with pytest.raises(LinkedFolderError), folders.held_path(file):
        pass
    (_elsewhere(root / "a") / "b").mkdir()
    with pytest.raises(LinkedFolderError), folders.held_path(file):
        pass
    (root / which).unlink()
    with folders.held_path(file, make=True) as held:
        held.write_text("second")
    assert file.read_text() == "second"
    assert not list(_elsewhere(root / "a").rglob("*.mp4"))


def test_a_link_to_the_very_folder_that_is_open(root: Path) -> None:
    """A folder that was moved, and has a link in its old place, is refused although it is the same folder."""
    folders = HeldFolders(root)
    folders.make_folder(root / "a" / "b")
    (root / "a").rename(root / "moved")
    (root / "a").symlink_to("moved")
    with pytest.raises(LinkedFolderError), folders.held_path(root / "a" / "b" / "c.mp4"):
        pass


def test_many_folders_stay_open_for_as_long_as_they_are_in_use(root: Path) -> None:
    """A run keeps few folders open, and none is closed while a block uses it."""
    folders, before = HeldFolders(root), len(os.listdir("/proc/self/fd"))
    with folders.held_path(root / "first" / "file", make=True) as first:
        for number in range(3 * MOST_OPEN):
            with folders.held_path(root / str(number) / "file", make=True) as held:
                held.write_text(str(number))
        first.write_text("first")
    assert (root / "first" / "file").read_text() == "first"
    assert len(os.listdir("/proc/self/fd")) <= before + MOST_OPEN
    del folders
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_document_that_is_kept(root: Path) -> None:
    """A large document is kept in a file with its content, whatever lay there, and not behind a link."""
    path = keep_document({"id": "large"}, root)
    before = path.read_bytes()
    path.write_text("another document")
    assert keep_document({"id": "large"}, root).read_bytes() == before
    path.unlink()
    path.symlink_to(_elsewhere(root / "a") / "planted")
    assert keep_document({"id": "large"}, root).read_bytes() == before
    (root / ".helios").rename(root / "moved")
    (root / ".helios").symlink_to(_elsewhere(root / "a"))
    with pytest.raises(RequestError, match="can't be kept"):
        keep_document({"id": "large"}, root)
    assert list(_elsewhere(root / "a").iterdir()) == []
