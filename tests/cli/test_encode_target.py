"""`helios-job encode --target` and `--verify pictures`, through the flow: each chunk has its score, however it came."""

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.encodes import Film, write_film
from tests.command import helios_job, here

FILM = Film(frames=60, size=(160, 96))


def _encode(source: Path, output: Path, *words: str | Path) -> list[dict[str, Any]]:
    done = here(
        "encode", source, "-o", output, "--codec", "x264", "--preset", "ultrafast", "--cut", "1", "--json", *words
    )
    assert done.returncode == 0, done.stderr
    chunks: list[dict[str, Any]] = json.loads(done.stdout)["chunks"]
    return chunks


@pytest.mark.usefixtures("prefect_api")
def test_a_target_has_a_score_for_each_chunk(tmp_path: Path) -> None:
    """Each chunk's score and quantiser are in the report, also when it is reused, and when it comes from the cache."""
    source = write_film(tmp_path / "film.mkv", FILM)
    words = ("--target", "xpsnr=38", "--cache", tmp_path / "cache")
    rendered = _encode(source, tmp_path / "out.mkv", *words)
    assert len(rendered) == 2
    for chunk in rendered:
        assert chunk["quality"]["score"] == pytest.approx(38, abs=3)
        assert 1 <= int(chunk["quality"]["crf"]) <= 51
        assert chunk["quality"]["failedProbes"] == 0
    reused = _encode(source, tmp_path / "out.mkv", *words)
    assert [chunk["reusedFrom"] for chunk in reused] == ["earlier-run"] * 2
    assert [chunk["quality"] for chunk in reused] == [chunk["quality"] for chunk in rendered]
    cached = _encode(source, tmp_path / "copy.mkv", *words)
    assert [chunk["reusedFrom"] for chunk in cached] == ["cache"] * 2
    assert [chunk["quality"] for chunk in cached] == [chunk["quality"] for chunk in rendered]


@pytest.mark.usefixtures("prefect_api")
def test_pictures_are_compared_with_the_source(tmp_path: Path) -> None:
    """With --verify pictures each chunk has a score, without a target."""
    source = write_film(tmp_path / "film.mkv", FILM)
    for chunk in _encode(source, tmp_path / "out.mkv", "--crf", "20", "--verify", "pictures"):
        assert 40 < chunk["quality"]["score"] < 70
        assert (chunk["quality"]["target"], chunk["quality"]["crf"]) == (None, "20")
        assert chunk["verified"] == "pictures"


def test_targets_that_are_refused(tmp_path: Path) -> None:
    """A target that can't be met is refused with exit code 2 and one line, before the source is read."""
    source = tmp_path / "none.mkv"
    for words, told in (
        (("--target", "xpsnr=38", "--crf", "20"), "--crf 20 says the quantiser already"),
        (("--target", "vmaf=95"), "this PyAV has no filter libvmaf"),
        (("--target", "xpsnr=38", "--codec", "prores"), "prores has no quantiser"),
        (("--crf", "1", "--preset", "12"), "files that can't be decoded"),
    ):
        done = helios_job("encode", str(source), "-o", "out.mov", *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
