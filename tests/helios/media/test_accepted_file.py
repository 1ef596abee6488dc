"""Reading accepted outputs: the reader gets the accepted bytes, or an error."""

import hashlib
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.media import checked_reader
from helios.media.accepted_file import AcceptedFile, StitchInput, check_accepted, open_in_turn
from helios.media.checked_reader import KEPT_BYTES, ChangedMeanwhileError, CheckedReader
from helios.models.worker import Artifact
from helios.storage.digest import hash_file


def accepted(folder: Path, *, count: int = 1) -> list[StitchInput]:
    """Write files, and return them with records of their acceptance."""
    parts = []
    for index in range(count):
        path = folder / f"c{index}.mp4"
        path.write_bytes(os.urandom(5000))
        os.utime(path, (1, 1))  # an old time, since a file system's clock moves in steps of some milliseconds
        digest, size = hash_file(path)
        record = Artifact(url=path.as_uri(), bytes=size, sha256=digest)
        parts.append(StitchInput(path, 1, f"chunk {index}", record))
    return parts


def overwrite(path: Path) -> None:
    """Overwrite a file with other bytes of the same number."""
    with path.open("r+b") as file:
        file.write(os.urandom(5000))


def overwrite_and_set_back(path: Path) -> None:
    """Overwrite a file with other bytes, and set its old time again."""
    overwrite(path)
    os.utime(path, (1, 1))


def replace(path: Path) -> None:
    """Put another file at the path."""
    other = path.with_name("other")
    other.write_bytes(os.urandom(5000))
    other.replace(path)


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back, replace])
def test_a_file_that_was_changed_since_it_was_accepted(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A file that was changed since its acceptance is refused with chunk, file, both digests, and what to do."""
    (part,) = accepted(tmp_path)
    change(part.path)
    with pytest.raises(OutputError) as caught:
        AcceptedFile(part)
    assert part.artifact is not None
    for words in (
        f"chunk 0: {part.path} was changed since it was accepted",
        f"sha256 {hash_file(part.path)[0][:12]}… instead of 5000 with {part.artifact.sha256[:12]}…",
        "another program writes to the same file",
        "run this job again: it renders the chunk anew",
    ):
        assert words in str(caught.value)


@pytest.mark.parametrize("change", [overwrite, overwrite_and_set_back])
def test_a_file_that_is_written_to_while_it_is_read(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """The check after reading notices a write, although the digest was right before."""
    (part,) = accepted(tmp_path)
    with AcceptedFile(part) as opened:
        opened.check_unchanged()
        change(part.path)
        with pytest.raises(OutputError, match="chunk 0: .* was changed since it was accepted"):
            opened.check_unchanged()


def test_a_path_that_is_given_to_another_file_meanwhile(tmp_path: Path) -> None:
    """The open file stays the accepted file when its path is given to another file."""
    (part,) = accepted(tmp_path)
    content = part.path.read_bytes()
    with AcceptedFile(part) as opened:
        replace(part.path)
        assert opened.file.read() == content
        opened.check_unchanged()


def test_a_further_name_or_other_rights_are_no_change(tmp_path: Path) -> None:
    """A further name or other rights, as from a backup by hard links, are not a change."""
    (part,) = accepted(tmp_path)
    with AcceptedFile(part) as opened:
        os.link(part.path, tmp_path / "backup")
        part.path.chmod(0o444)
        opened.check_unchanged()


@pytest.mark.parametrize("kept", [0, KEPT_BYTES])
def test_a_file_that_is_written_to_through_a_mapping(
    tmp_path: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write through a mapping changes no time of the file; the reader gets the accepted bytes, or an error."""
    monkeypatch.setattr(checked_reader, "KEPT_BYTES", kept)
    (part,) = accepted(tmp_path)
    content = part.path.read_bytes()
    with part.path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[2000] = mapped[2000]  # the page is dirty now: further writes touch no time
        with AcceptedFile(part) as opened:
            mapped[2000] ^= 0xFF
            assert part.path.read_bytes() != content
            opened.check_unchanged()  # sees nothing: the attack works on times
            if kept:
                assert opened.file.read() == content
            else:
                with pytest.raises(ChangedMeanwhileError):
                    opened.file.read()


def test_a_large_file_is_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not kept in memory reads as it is, over the bounds of blocks and beyond its end."""
    monkeypatch.setattr(checked_reader, "KEPT_BYTES", 10)
    monkeypatch.setattr(checked_reader, "BLOCK_BYTES", 64)
    content = os.urandom(1000)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        reader = CheckedReader(file)
        assert (reader.size, reader.sha256) == (1000, hashlib.sha256(content).hexdigest())
        for start, size in [(0, 1), (60, 10), (0, 1000), (990, 100), (2000, 5), (64, 64), (1, -1)]:
            assert reader.seek(start) == start
            assert reader.read(size) == content[start : start + size if size >= 0 else None]
        assert (reader.seek(-10, os.SEEK_END), reader.read()) == (990, content[990:])
        assert (reader.seek(-5, os.SEEK_CUR), reader.tell()) == (995, 995)


def test_one_after_the_other(tmp_path: Path) -> None:
    """At most two files are open, in order; a changed file raises when its turn comes, and no file stays open."""
    parts = accepted(tmp_path, count=9)
    overwrite(parts[7].path)
    seen: list[str] = []

    def read_all() -> None:
        for part, opened in open_in_turn(parts):
            assert sum(str(tmp_path) in name for name in open_files()) <= 2
            assert opened.file.read() == part.path.read_bytes()
            seen.append(part.name)

    with pytest.raises(OutputError, match=r"chunk 7: "):
        read_all()
    assert seen == [f"chunk {index}" for index in range(7)]
    given_up = open_in_turn(parts)
    next(given_up)
    given_up.close()
    assert not [name for name in open_files() if str(tmp_path) in name]


def open_files() -> list[str]:
    """The paths of the files that this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


def test_all_at_once(tmp_path: Path) -> None:
    """Every file is compared with its record, unless `stop` is set."""
    parts, stop = accepted(tmp_path, count=3), threading.Event()
    check_accepted(parts, stop)
    parts[2].path.unlink()
    with pytest.raises(OutputError, match=r"chunk 2: .*c2\.mp4 was removed since it was accepted"):
        check_accepted(parts, stop)
    stop.set()
    check_accepted(parts, stop)
