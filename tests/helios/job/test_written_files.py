"""The videos that a command wrote are found by its words, or by their names."""

from pathlib import Path

from helios.job.written_files import WrittenFiles


def test_new_and_changed_videos_are_found(tmp_path: Path) -> None:
    """What words name is found anywhere; what they don't name, by its extension; what did not change is no result."""
    directory = tmp_path / "job"
    directory.mkdir()
    for name in ("music.wav", "old.mp4", "changed.mp4", "part.mp4", "list"):
        (directory / name).write_text(name)
    words = ["merge", "../films/film.mp4", "--log=list", "music.wav", "part.mp4", "a\0b"]
    files = WrittenFiles(directory, words, cwd=directory, others=[directory / "part.mp4"])
    assert files.named() == []
    assert files.videos() == []
    (tmp_path / "films").mkdir()
    (tmp_path / "films/film.mp4").write_text("film")
    for name in ("changed.mp4", "part.mp4", "list", "deep.mov", "notes.txt"):
        (directory / name).write_text("written now")
    assert files.named() == [tmp_path / "films/film.mp4", directory / "list"]
    assert files.videos() == [directory / "changed.mp4", directory / "deep.mov"]
