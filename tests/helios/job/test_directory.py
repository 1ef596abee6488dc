"""Nothing is written outside a job's folder, and no two outputs meet in one file."""

import os
from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.models import JobSpec
from testbed.jobs import make_job


def spec(*outputs: str) -> JobSpec:
    job = make_job([1] * len(outputs))
    for chunk, output in zip(job["chunks"], outputs, strict=True):
        chunk["outputFile"] = output
    return JobSpec.model_validate(job)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing job directory is refused with its name and what to do."""
    with pytest.raises(RequestError, match="nowhere is not a directory; create it"):
        JobDirectory(tmp_path / "nowhere")


def test_a_link_that_leads_out(tmp_path: Path) -> None:
    """An output path that leaves the job directory by a link is refused."""
    (tmp_path / "job").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "job" / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="'out/a.mp4' lies in .*elsewhere, outside the job directory"):
        JobDirectory(tmp_path / "job").check(spec("out/a.mp4"))


def test_a_link_that_stays_inside(tmp_path: Path) -> None:
    """Links within the job directory may be used, and the job directory may itself be a link."""
    (tmp_path / "job" / "real").mkdir(parents=True)
    (tmp_path / "job" / "out").symlink_to("real")
    (tmp_path / "link").symlink_to("job")
    directory = JobDirectory(tmp_path / "link")
    assert directory.output("out/a.mp4") == tmp_path / "job" / "real" / "a.mp4"
    directory.check(spec("out/a.mp4", "out/b.mp4"))
    with pytest.raises(RequestError, match="'out/a.mp4' and 'real/a.mp4' are one file"):
        directory.check(spec("out/a.mp4", "real/a.mp4"))


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """A path whose names are short enough, and which is longer than the system takes, is refused with that reason."""
    with pytest.raises(RequestError, match=r"d/a.mp4' can't be used \(File name too long\); rename it"):
        JobDirectory(tmp_path).check(spec("/".join(["d" * 250] * 16 + ["d" * 60, "a.mp4"])))


def test_an_output_that_is_a_directory(tmp_path: Path) -> None:
    """An output path that is a directory is refused."""
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(RequestError, match="'a.mp4' is a directory"):
        JobDirectory(tmp_path).check(spec("a.mp4"))


@pytest.mark.parametrize("name", ["a.mp4", "no-suffix", "a.tar.gz", "日" * 83 + ".mp4", "x" * 251 + ".mp4"])
def test_attempts_have_names_of_their_own(tmp_path: Path, name: str) -> None:
    """An attempt's file has the output's folder and extension, and a name of its own that is not too long."""
    output = JobDirectory(tmp_path).output(name)
    paths = [JobDirectory(tmp_path).attempt(output, owner="job", token=token) for token in ("r1-1", "r1-2", "r2-1")]
    assert len({output, *paths}) == 4
    for path in paths:
        assert path.parent == output.parent
        assert path.suffix == output.suffix
        path.touch()


def test_folders_that_cant_be_written(tmp_path: Path) -> None:
    """Outputs in a folder in which nothing can be written are refused with its name; a folder may yet be made."""
    directory = JobDirectory(tmp_path)
    directory.check_writable([tmp_path / "a.mp4", tmp_path / "new/deep/b.mp4"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for wrong in (Path("/proc/x.mp4"), Path("/proc/1/new/x.mp4"), tmp_path / "file/x.mp4"):
        with pytest.raises(RequestError, match=f"Nothing can be written in {wrong.parent}, .*--job-dir"):
            directory.check_writable([wrong])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file another user's")
def test_another_user_s_file_in_a_sticky_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only owners can move files, another user's file with an output's name is refused. The user is replaced."""
    directory, outputs = JobDirectory(tmp_path), [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    outputs[0].write_text("theirs")
    tmp_path.chmod(0o1777)
    for path in (tmp_path, outputs[0]):
        os.chown(path, 65534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(RequestError, match=r"a\.mp4 is another user's, and in .* only owners"):
        directory.check_writable(outputs)
    directory.check_writable(outputs[1:])
    tmp_path.chmod(0o777)
    directory.check_writable(outputs)
