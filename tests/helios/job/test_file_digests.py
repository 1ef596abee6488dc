"""A file is hashed once for as long as it stays as it is, and again after any change."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from helios.job.file_digests import (
    FOLDER,
    RACY_NS,
    UNREADABLE,
    FileDigests,
    HashingStoppedError,
    file_clock_ns,
    look_at,
    replace_json,
)

LATER = 3600 * 10**9
"""Added to the clock: no file is young then."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def take(folder: Path, *names: str, later_ns: int = LATER) -> tuple[dict[str, str], int]:
    """The digests of files, and how many of them were read."""
    digests = FileDigests(folder, now_ns=file_clock_ns(folder / FOLDER) + later_ns)
    found = digests.of(look_at(folder, names))
    digests.save(found)
    return found, digests.hashed_files


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    """The digest of an unchanged file comes from the cache."""
    (tmp_path / "scene.html").write_bytes(b"blue")
    assert take(tmp_path, "scene.html") == ({"scene.html": sha256(b"blue")}, 1)
    assert take(tmp_path, "scene.html") == ({"scene.html": sha256(b"blue")}, 0)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path: Path, replaced: bool) -> None:
    """A file with another content, and the size and modification time of before, is read again."""
    scene = tmp_path / "scene.html"
    scene.write_bytes(b"blue")
    before = scene.stat()
    take(tmp_path, "scene.html")
    if replaced:
        (tmp_path / "other").write_bytes(b"teal")
        (tmp_path / "other").replace(scene)
    else:
        scene.write_bytes(b"teal")
    os.utime(scene, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (scene.stat().st_size, scene.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert take(tmp_path, "scene.html") == ({"scene.html": sha256(b"teal")}, 1)


def test_a_young_file_is_read_again(tmp_path: Path) -> None:
    """A file that was changed within the last two seconds can change within the same time stamp: it is not trusted."""
    (tmp_path / "scene.html").write_bytes(b"blue")
    assert take(tmp_path, "scene.html", later_ns=0)[1] == 1
    assert take(tmp_path, "scene.html", later_ns=RACY_NS // 2)[1] == 1
    assert take(tmp_path, "scene.html", later_ns=LATER)[1] == 1
    assert take(tmp_path, "scene.html", later_ns=0)[1] == 0


@pytest.mark.parametrize(
    "content", [b"", b'{"files": {"scene', b"[]", b'{"files": {"scene.html": [4, 1]}}', b"\xff\x00"]
)
def test_a_torn_cache_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    """A cache that can't be read costs time, and nothing else."""
    (tmp_path / "scene.html").write_bytes(b"blue")
    take(tmp_path, "scene.html")
    (tmp_path / FOLDER / "digests.json").write_bytes(content)
    assert take(tmp_path, "scene.html") == ({"scene.html": sha256(b"blue")}, 1)
    assert take(tmp_path, "scene.html")[1] == 0


def test_the_cache_forgets_files_that_are_gone(tmp_path: Path) -> None:
    """The cache keeps the digests of other files that are there, and not of files that are gone."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_bytes(b"x")
    take(tmp_path, "a", "b", "c")
    (tmp_path / "b").unlink()
    take(tmp_path, "c", "d")
    text = (tmp_path / FOLDER / "digests.json").read_text()
    assert [name for name in "abcd" if f'"{name}"' in text] == ["a", "c", "d"]
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["digests.json"]


def test_a_cache_that_can_t_be_written_is_no_failure(tmp_path: Path) -> None:
    """Where the cache can't be written, each run reads the files."""
    (tmp_path / "scene.html").write_bytes(b"blue")
    (tmp_path / FOLDER / "digests.json").mkdir(parents=True)
    assert take(tmp_path, "scene.html")[1] == 1
    assert take(tmp_path, "scene.html")[1] == 1


def test_hashing_stops_when_asked(tmp_path: Path) -> None:
    """A job that is stopped does not wait until its files are hashed."""
    (tmp_path / "film.mov").write_bytes(b"x")
    stop = threading.Event()
    stop.set()
    with pytest.raises(HashingStoppedError):
        FileDigests(tmp_path, now_ns=0, stop=stop).of(look_at(tmp_path, ["film.mov"]))


def test_what_is_no_file_has_no_digest(tmp_path: Path) -> None:
    """Folders, pipes and missing files are left out; a link counts as the file that it leads to."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"blue")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "broken").symlink_to("nowhere")
    found, _ = take(tmp_path, "folder", "pipe", "link", "broken", "missing")
    assert found == {"link": sha256(b"blue")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """A file without read permission has a fixed digest."""
    (tmp_path / "closed").write_bytes(b"x")
    (tmp_path / "closed").chmod(0)
    assert take(tmp_path, "closed")[0] == {"closed": UNREADABLE}


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Writing JSON leaves no other file behind, also when it fails."""
    replace_json(tmp_path / "new" / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        replace_json(tmp_path / "new" / "a.json", {"a": object()})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert (tmp_path / "new" / "a.json").read_text() == '{"a":1}'
