"""What the page of `helios-job watch` is made of, and what it reads from a job directory."""

import hashlib
from pathlib import Path

import pytest

from farm.player.folder import Accepted, WatchedFolder
from farm.player.server import PAGES, STATIC

HLS_JS = "482cccb3a224554f64d8c2cf0d335dba4a3819bdb726afbfddfe15de4c277d82"
"""SHA-256 of package/dist/hls.light.min.js in npm's hls.js-1.7.4.tgz."""


def test_the_player_is_the_released_one() -> None:
    """The player library is hls.js 1.7.4 as it was released, and its licence is beside it."""
    assert hashlib.sha256((STATIC / "hls.light.min.js").read_bytes()).hexdigest() == HLS_JS
    assert "Apache License, Version 2.0" in (STATIC / "hls.LICENSE").read_text()
    assert all((STATIC / name).is_file() for name, _ in PAGES.values())


def test_accepted_frames() -> None:
    """Ranges of frames that follow each other are one; a line that is torn is none."""
    accepted = Accepted.read("of 30 from 100\n0 5\n20 5\n5 5\n25 5\n1")
    assert (accepted.total, accepted.start) == (30, 100)
    assert list(accepted.ranges()) == [(0, 10), (20, 30)]


def test_a_folder_is_read_without_links(tmp_path: Path) -> None:
    """A link that a command put in the place of a segment is not followed; other folders are refused."""
    folder = tmp_path / ".helios" / "watch" / "job"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (folder / "segment-00000000.m4s").symlink_to(tmp_path / "secret")
    watched = WatchedFolder(folder / "video.m3u8")
    assert watched.is_here
    assert watched.playlist() == ""
    with pytest.raises(OSError, match="segment-00000000"):
        watched.read("segment-00000000.m4s")
    for place in (tmp_path / "video.m3u8", folder / "other.m3u8"):
        with pytest.raises(ValueError, match="no playlist"):
            WatchedFolder(place)


def test_a_watcher_is_noted(tmp_path: Path) -> None:
    """What a run looks at is touched when somebody watches."""
    folder = tmp_path / ".helios" / "watch" / "job"
    folder.mkdir(parents=True)
    WatchedFolder(folder / "video.m3u8").note_watcher()
    assert (folder / "watched").is_file()
