"""What a chunk reads has a digest, and a change of it is a change of the chunks that read it."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from helios.errors import RequestError
from helios.job import inputs as inputs_module
from helios.job.file_digests import FOLDER
from helios.job.input_list import InputList, describe_changes
from helios.job.inputs import InputRules, Inputs, take_inputs
from helios.job.side_files import LAST_WORDS_NS, SideFiles
from helios.models import JobSpec


class Job:
    """A job of a few chunks in a folder, whose inputs are taken again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words: list[str] = ["", "", ""]
        self.chunk_inputs: list[list[str] | None] = [None, None, None]
        self.inputs: list[str] | None = None
        self.variables: dict[str, str] = {}
        self.revision: str | None = None
        self.apart: set[str] = set()

    def write(self, name: str, content: str) -> None:
        """Write a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    @property
    def spec(self) -> JobSpec:
        """The job document as it is now."""
        chunks = [
            {
                "id": index, "startFrame": index, "frameCount": 1, "outputFile": f"out {index}.mp4",
                "command": f"renderer {index} 'out {index}.mp4' {words}", "inputs": self.chunk_inputs[index],
            }
            for index, words in enumerate(self.words)
        ]  # fmt: skip
        size: dict[str, Any] = {"totalFrames": 3, "fps": 30, "width": 64, "height": 64, "duration": 0.1}
        return JobSpec.model_validate({"metadata": size, "chunks": chunks, "inputs": self.inputs})

    def take(self, side_files: SideFiles | None = None) -> Inputs:
        """The inputs as they are now."""
        found = self.take_or_none(side_files)
        assert found is not None
        return found

    def take_or_none(self, side_files: SideFiles | None = None) -> Inputs | None:
        """The inputs as they are now, if they are known."""
        spec = self.spec
        written = [*(f"out {chunk.id}.mp4" for chunk in spec.chunks), *self.apart]
        rules = InputRules(
            directory=self.folder,
            patterns=spec.inputs,
            written=frozenset(f"{self.folder}/{name}" for name in written),
            variables=self.variables,
            revision=self.revision,
            apart=frozenset(self.apart),
        )
        return take_inputs(rules, spec, find_side_files=side_files.find if side_files else lambda _: {})

    def changes(self, before: Inputs) -> list[str]:
        """What changed for each chunk, through a document as it is kept."""
        now = self.take()
        compared = now.since(InputList.from_document(before.listed.document))
        found = [compared.changes_for(chunk) for chunk in self.spec.chunks]
        said = [describe_changes(list(dict.fromkeys([*shared, *own]))) for shared, own in found]
        for chunk, changes in zip(self.spec.chunks, said, strict=True):
            if now.digest_of(chunk) == before.digest_of(chunk):
                assert changes == ""
        return said


@pytest.fixture
def job(tmp_path: Path) -> Job:
    job = Job(tmp_path.resolve())
    job.write("scene.html", "blue")
    job.write("tex/a.png", "a")
    job.write("tex/b.png", "b")
    return job


def digests(job: Job, inputs: Inputs | None = None) -> list[str]:
    found = inputs or job.take()
    return [found.digest_of(chunk) for chunk in job.spec.chunks]


def test_everything_counts_by_default(job: Job) -> None:
    """By default a chunk reads all of the job directory but outputs, hidden files and this program's own."""
    for name in (".hidden", ".git/x", "out 0.mp4", "tex/__pycache__/x.pyc", "out 1-attempt-0123456789ab-t-1.mp4"):
        job.write(name, "x")
    assert sorted(job.take().digests) == ["scene.html", "tex/a.png", "tex/b.png"]
    assert len(set(digests(job))) == 1


def test_a_digest_is_the_same_elsewhere(job: Job, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The digest depends on relative names and contents, not on the folder or the times."""
    other = Job(tmp_path_factory.mktemp("other").resolve())
    other.write("tex/b.png", "b")
    other.write("tex/a.png", "a")
    other.write("scene.html", "blue")
    os.utime(other.folder / "scene.html", (1, 1))
    assert digests(other) == digests(job)
    other.write("scene.html", "red")
    assert digests(other) != digests(job)


def test_a_file_that_moves_is_another_input(job: Job) -> None:
    """The same contents under other names have another digest."""
    before = digests(job)
    (job.folder / "tex" / "a.png").rename(job.folder / "tex" / "c.png")
    assert digests(job) != before


def test_changes_are_named(job: Job) -> None:
    """Changed, new and removed files, variables and the revision are named."""
    job.variables = {"LICENCE": "1"}
    before = job.take()
    job.write("scene.html", "red")
    job.write("new.txt", "x")
    (job.folder / "tex" / "a.png").unlink()
    job.variables = {"LICENCE": "2"}
    job.revision = "7"
    text = "variable LICENCE, the revision, scene.html changed, new.txt is new, tex/a.png was removed"
    assert job.changes(before) == [text] * 3


def test_a_line_names_five_changes(job: Job) -> None:
    """Of many changes five are named, and the others counted."""
    before = job.take()
    for index in range(8):
        job.write(f"t{index}.png", "x")
    assert job.changes(before)[0] == "t0.png, t1.png, t2.png, t3.png, t4.png are new and 3 more"


def test_a_chunk_s_own_inputs(job: Job) -> None:
    """A chunk with `inputs` of its own reads these alone, and a change concerns it alone."""
    job.chunk_inputs = [["tex/a.png"], ["tex/*.png"], ["scene.html"]]
    before = job.take()
    job.write("tex/b.png", "c")
    assert job.changes(before) == ["", "tex/b.png changed", ""]
    job.write("tex/c.png", "c")
    assert job.changes(before) == ["", "tex/b.png changed, tex/c.png is new", ""]


def test_files_that_a_command_names_always_count(job: Job) -> None:
    """The program and other words that are files of the job directory count, also beside `inputs`, for their chunk."""
    job.inputs = ["tex/**"]
    job.write("p0.json", "0")
    job.write("p1.json", "1")
    job.write("bin/render", "#!")
    job.words = ["p0.json bin/render", "--props=./p1.json", f"'{job.folder}/tex/a.png'"]
    before = job.take()
    job.write("p1.json", "2")
    assert job.changes(before) == ["", "p1.json changed", ""]
    job.write("bin/render", "#!!")
    assert job.changes(before) == ["bin/render changed", "p1.json changed", ""]
    (job.folder / "p0.json").unlink()
    assert job.changes(before)[0] == "bin/render changed, p0.json was removed"


def test_the_output_that_a_command_names_is_no_input(job: Job) -> None:
    """Outputs are no inputs, although commands name them, nor is a sound track or the document."""
    job.inputs, job.apart = [], {"job.json"}
    job.words = ["job.json"] * 3
    before = digests(job)
    job.write("out 1.mp4", "x")
    job.write("job.json", "x")
    assert digests(job) == before


def test_naming_inputs_later_renders_nothing_again(job: Job) -> None:
    """When another selection finds files that are as they were, nothing changed, though the digest is another one."""
    job.write("render.log", "1")
    before = job.take()
    job.write("render.log", "2")
    assert job.changes(before) == ["render.log changed"] * 3
    job.inputs = ["scene.html", "tex"]
    assert digests(job) != digests(job, before)
    assert job.changes(before) == [""] * 3
    (job.folder / "tex" / "a.png").unlink()
    assert job.changes(before) == ["tex/a.png was removed"] * 3


def test_a_sound_track_may_come_and_go(job: Job) -> None:
    """A file that was the sound track in one run, and nothing in another, is neither new nor removed."""
    job.write("music.wav", "la")
    before = job.take()
    job.apart = {"music.wav"}
    between = job.take()
    assert job.changes(before) == [""] * 3
    job.apart = set()
    assert job.changes(between) == [""] * 3


@pytest.mark.parametrize(
    ("patterns", "says"),
    [(["none/**"], "'none/\\*\\*' finds no file"), (["scene.htm"], "'scene.htm' finds no file"), (["out 0.mp4"], "")],
)
def test_patterns_that_find_nothing(job: Job, patterns: list[str], says: str) -> None:
    """A pattern that finds nothing is refused; one that finds an output finds something."""
    job.write("out 0.mp4", "x")
    job.inputs = patterns
    if not says:
        assert list(job.take().digests) == []
        return
    with pytest.raises(RequestError, match=f"inputs pattern {says}"):
        job.take()


def test_a_folder_behind_a_link_can_be_named(job: Job, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Links to folders are not followed by default; a pattern follows them, and outputs behind them stay outputs."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "sky.hdr").write_text("x")
    (job.folder / "sky").symlink_to(elsewhere)
    (job.folder / "here").symlink_to(".")
    job.write("out 0.mp4", "x")
    assert "sky/sky.hdr" not in job.take().digests
    job.inputs = ["sky", "here/*.*"]
    assert sorted(job.take().digests) == ["here/scene.html", "sky/sky.hdr"]


def test_names_that_are_no_text(job: Job) -> None:
    """A name of bytes that are not UTF-8 can be kept, and compared."""
    path = os.fsencode(job.folder) + b"/\xff.txt"
    Path(os.fsdecode(path)).write_text("1")
    before = job.take()
    before.listed.key  # noqa: B018  it is JSON, in UTF-8
    Path(os.fsdecode(path)).write_text("2")
    assert job.changes(before)[0] == "\\udcff.txt changed"


def test_a_directory_of_everything_is_not_looked_at(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job in a folder with too many files, or too much in them, has no known inputs, unless they are named."""
    monkeypatch.setattr(inputs_module, "MAX_FILES", 2)
    assert job.take_or_none() is None
    monkeypatch.setattr(inputs_module, "MAX_FILES", 3)
    monkeypatch.setattr(inputs_module, "MAX_BYTES", 5)
    assert job.take_or_none() is None
    job.inputs = ["**"]
    assert len(job.take().digests) == 3


def test_what_changed_meanwhile(job: Job) -> None:
    """A second look finds files with another content or gone, not those that were only touched."""
    taken = job.take()
    os.utime(job.folder / "scene.html")
    assert taken.find_changed() == []
    job.write("tex/a.png", "A")
    (job.folder / "tex" / "b.png").unlink()
    assert sorted(taken.find_changed()) == ["tex/a.png", "tex/b.png"]


class TestSideFiles:
    """What commands leave in the job directory is no input that changed."""

    def run(self, job: Job, *, at_its_end: Mapping[str, str] | None = None, killed: bool = False) -> list[str]:
        """Let a run go on in which files are written; return its inputs."""
        side_files = SideFiles(job.folder, "job")
        taken = job.take(side_files)
        note = job.folder / FOLDER / "job.json"
        with side_files.note_run(taken.digests, taken.side_files):
            alive = note.read_bytes()
            for name, content in (at_its_end or {}).items():
                job.write(name, content)
        if killed:
            note.write_bytes(alive)
        return sorted(taken.digests)

    @pytest.mark.parametrize("killed", [False, True])
    def test_what_appeared_while_a_run_went_on(self, job: Job, killed: bool) -> None:
        """A file that appeared while an earlier run went on is no input, in all later runs."""
        before = self.run(job, at_its_end={"render.log": "1", "frames/0.png": "0"}, killed=killed)
        assert self.run(job) == before
        assert self.run(job, at_its_end={"render.log": "2"}) == before
        assert self.run(job) == before

    def test_what_was_there_before(self, job: Job) -> None:
        """A file that was there when the run began stays an input, whoever writes it."""
        self.run(job, at_its_end={"scene.html": "red"})
        assert "scene.html" in self.run(job)

    def test_what_a_person_adds_between_runs(self, job: Job) -> None:
        """A file that appears after a run's end is an input; so is a side file that is changed after it."""
        before = self.run(job, at_its_end={"render.log": "1"})
        time.sleep(0.02)  # a tick of the file system's clock
        job.write("new.png", "n")
        assert self.run(job) == sorted([*before, "new.png"])
        time.sleep(0.02)
        job.write("render.log", "mine")
        assert self.run(job) == sorted([*before, "new.png", "render.log"])

    def test_what_a_person_adds_long_after_a_kill(self, job: Job) -> None:
        """After a run was killed, its last sign of life counts, and a few seconds in which its commands end."""
        before = self.run(job, at_its_end={"render.log": "1"}, killed=True)
        note = job.folder / FOLDER / "job.json"
        then = note.stat().st_mtime_ns - LAST_WORDS_NS - 10**9
        os.utime(note, ns=(then, then))
        assert self.run(job) == sorted([*before, "render.log"])

    def test_a_log_that_the_command_names(self, job: Job) -> None:
        """A file that a command names and writes is no input either, also if inputs are named."""
        job.inputs, job.words = ["scene.html"], ["--log=render.log"] * 3
        before = self.run(job, at_its_end={"render.log": "1"})
        assert self.run(job) == before == ["scene.html"]

    def test_what_is_named_is_an_input(self, job: Job) -> None:
        """A file that `inputs` name is an input, also if it appeared while a run went on."""
        self.run(job, at_its_end={"sim/0.bin": "1"})
        job.inputs = ["sim/**"]
        assert self.run(job) == ["sim/0.bin"]

    @pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"startedNs": "x", "inputs": 3, "sideFiles": []}'])
    def test_a_torn_note(self, job: Job, note: bytes) -> None:
        """Without the note every file is an input: no change is missed."""
        before = self.run(job, at_its_end={"render.log": "1"})
        (job.folder / FOLDER / "job.json").write_bytes(note)
        assert self.run(job) == sorted([*before, "render.log"])

    def test_another_job_s_run(self, job: Job) -> None:
        """What appeared while another job's run went on is an input: one job may read what another one renders."""
        self.run(job, at_its_end={"clip.mp4": "1"})
        other = SideFiles(job.folder, "other")
        assert "clip.mp4" in job.take(other).digests

    def test_signs_of_life(self, job: Job) -> None:
        """While a run goes on, the note's time goes on."""
        side_files = SideFiles(job.folder, "job")
        taken = job.take(side_files)
        with side_files.note_run(taken.digests, taken.side_files):
            note = job.folder / FOLDER / "job.json"
            began, deadline = note.stat().st_mtime_ns, time.monotonic() + 60
            while note.stat().st_mtime_ns == began:
                assert time.monotonic() < deadline
                time.sleep(0.05)


@pytest.mark.parametrize(
    "patterns", [[""], ["/etc/passwd"], ["../x"], ["a/../../x"], [".helios/**"], ["a**/b"], ["a\0b"]]
)
def test_patterns_that_are_refused(patterns: Sequence[str], job: Job) -> None:
    """A document whose patterns leave the job directory is refused when it is read."""
    job.inputs = list(patterns)
    with pytest.raises(ValueError, match="a glob pattern"):
        _ = job.spec


def test_a_file_behind_a_link_to_a_folder_is_an_input(tmp_path: Path) -> None:
    """A change behind a link within the job directory changes the chunks; a link out of it is named, not followed."""
    directory = tmp_path / "job"
    directory.mkdir()
    job = Job(directory)
    job.write("models/chair.txt", "chair")
    (directory / "current").symlink_to("models")
    (tmp_path / "textures").mkdir()
    (tmp_path / "textures/wood.txt").write_text("wood")
    (directory / "textures").symlink_to("../textures")
    found = job.take()
    assert "current/chair.txt" in found.digests
    assert found.outside == {"textures": str(tmp_path / "textures")}
    job.inputs = ["textures/**", "models/**"]
    named = job.take()
    assert "textures/wood.txt" in named.digests
    assert not named.outside
