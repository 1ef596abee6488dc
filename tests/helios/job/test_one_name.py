"""Outputs that are one to the file system are refused; it is asked itself."""

from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.job.directory import ATTEMPT
from helios.job.one_name import check_names


@pytest.mark.parametrize(
    "names",
    [("A.mp4", "a.mp4"), ("\u00fc.mp4", "u\u0308.mp4"), ("X/a.mp4", "x/a.mp4"), ("stra\u00dfe.mp4", "STRASSE.mp4")],
)
def test_names_that_this_file_system_tells_apart(tmp_path: Path, names: tuple[str, str]) -> None:
    """Names that others fold are two here, where the file system keeps both; trying it leaves nothing."""
    for name in names:
        (tmp_path / "kept" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kept" / name).touch()
    if len(list((tmp_path / "kept").rglob("*.mp4"))) == 1:
        with pytest.raises(RequestError, match="are one file to this file system"):
            check_names([tmp_path / name for name in names], mark=ATTEMPT)
    else:
        check_names([tmp_path / name for name in names], mark=ATTEMPT)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_names_that_it_does_not_tell_apart(tmp_path: Path) -> None:
    """Two outputs that are one file are refused, with what to do; nothing is left, not even a folder."""
    for one in (tmp_path / "a.mp4", tmp_path / "deep" / "er" / "a.mp4"):
        with pytest.raises(RequestError, match="give them names that differ otherwise"):
            check_names([one, tmp_path / "b.mp4", one], mark=ATTEMPT)
    assert list(tmp_path.iterdir()) == []
