"""Which file is sent to workers elsewhere as the source of an encode."""

from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.job.source import validate_job_spec
from helios.models.spec import JobSpec
from tasks.site.encode_source import source_name
from testbed.encodes import Film, write_film
from testbed.jobs import make_job


def _spec(file: str | None) -> JobSpec:
    document = make_job([2])
    return validate_job_spec(document | ({"source": {"file": file, "start": "0", "sound": "none"}} if file else {}),
                             source="test")  # fmt: skip


def test_a_source_elsewhere(tmp_path: Path) -> None:
    """A link out of the job directory is a source if it leads to a video, and nothing else of the user's is sent."""
    film = write_film(tmp_path / "film.mkv", Film(frames=5))
    (tmp_path / "secret.mkv").write_text("the key")
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "source.mkv").symlink_to(film)
    (folder / "bad.mkv").symlink_to(tmp_path / "secret.mkv")
    directory = JobDirectory(folder)
    assert source_name(_spec(None), directory) is None
    assert source_name(_spec("./source.mkv"), directory) == "source.mkv"
    with pytest.raises(RequestError, match="which is no video"):
        source_name(_spec("bad.mkv"), directory)
