"""Replacing an output that is a link by a file of its own."""

import os
from pathlib import Path

import pytest

from helios.errors import OutputError
from helios.job.own_file import is_shared, make_own


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_becomes_a_copy(tmp_path: Path, link: object) -> None:
    """A link becomes a copy, which later writes through the file's other name do not reach."""
    (tmp_path / "kept").write_bytes(b"frames")
    assert callable(link)
    link(tmp_path / "kept", tmp_path / "c0")
    assert is_shared(tmp_path / "c0")
    make_own(tmp_path / "c0", tmp_path / "beside")
    assert not is_shared(tmp_path / "c0")
    (tmp_path / "kept").write_bytes(b"others")
    assert (tmp_path / "c0").read_bytes() == b"frames"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c0", "kept"]


def test_a_link_that_leads_to_no_file(tmp_path: Path) -> None:
    """A link to no file is refused with its target, and so is a path that is not a regular file."""
    (tmp_path / "c0").symlink_to("nowhere")
    with pytest.raises(OutputError, match="c0 is a link to nowhere, which is no file; expected a video file"):
        make_own(tmp_path / "c0", tmp_path / "beside")
    os.mkfifo(tmp_path / "c1")
    assert is_shared(tmp_path / "c1")
    with pytest.raises(OutputError, match="c1 is no regular file; expected a video file"):
        make_own(tmp_path / "c1", tmp_path / "beside")


def test_nothing_and_a_plain_file_are_not_shared(tmp_path: Path) -> None:
    """A missing path and a plain file do not count as shared; verification reports a missing file."""
    assert not is_shared(tmp_path / "c0")
    (tmp_path / "c0").touch()
    assert not is_shared(tmp_path / "c0")
