"""`helios-job encode`: from a video to its encode, through the flow."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from testbed.encodes import Film, decoded, write_film
from testbed.image_films import pixels, video_pixels, write_images
from tests.command import here

with_server = pytest.mark.usefixtures("prefect_api")
FILM = Film(frames=60, sound=("aac",))


@with_server
def test_a_video_is_encoded(tmp_path: Path) -> None:
    """The encode has the source's pictures; the same command again renders nothing, and other settings do."""
    source = write_film(tmp_path / "film.mkv", FILM)
    words = ("encode", source, "-o", tmp_path / "out.mkv", "--codec", "ffv1", "--shortest", "0.5")
    done = here(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert "film.mkv → out.mkv" in done.stderr
    report = json.loads(done.stdout)
    assert (report["frames"], [chunk["reused"] for chunk in report["chunks"]]) == (60, [False] * len(report["chunks"]))
    assert [picture for _, picture in decoded(tmp_path / "out.mkv")] == [picture for _, picture in decoded(source)]
    again = json.loads(here(*words, "--json").stdout)
    assert all(chunk["reused"] for chunk in again["chunks"])


@with_server
@pytest.mark.slow
def test_images_are_encoded(tmp_path: Path) -> None:
    """A sequence of images becomes a video of its rate; the same command again renders nothing."""
    images = write_images(tmp_path / "in" / "shot_####.png", FILM, first=7)
    words = ("encode", tmp_path / "in" / "shot_%04d.png", "-o", tmp_path / "out.mkv", "--fps", "24000/1001")
    more = ("--codec", "ffv1", "--cut", "1", "--verify", "pictures", "--json")
    done = here(*words, *more)
    assert done.returncode == 0, done.stderr
    assert "shot_0007.png and 59 more images" in done.stderr
    assert "converted" not in done.stderr
    assert json.loads(done.stdout)["frames"] == 60
    shown = video_pixels(tmp_path / "out.mkv")
    assert all(np.array_equal(pixels(path), found) for path, found in zip(images, shown, strict=True))
    again = json.loads(here(*words, *more).stdout)
    assert all(chunk["reused"] and chunk["quality"]["score"] == 100 for chunk in again["chunks"])


@with_server
def test_a_source_that_changed(tmp_path: Path) -> None:
    """A source of other pictures and the same times has its chunks encoded again."""
    source = write_film(tmp_path / "film.mkv", FILM)
    words = ("encode", source, "-o", tmp_path / "out.mkv", "--codec", "ffv1", "--cut", "1", "--json")
    assert here(*words).returncode == 0
    write_film(source, replace(FILM, scene_frames=10))
    report = json.loads(here(*words).stdout)
    assert not any(chunk["reused"] for chunk in report["chunks"])
    assert decoded(tmp_path / "out.mkv")[-1][1] == decoded(source)[-1][1]


def test_the_document(tmp_path: Path) -> None:
    """With --emit a document is written, and nothing is encoded."""
    source = write_film(tmp_path / "film.mkv", FILM)
    place = tmp_path / "job.json"
    done = here("encode", source, "-o", tmp_path / "out.mkv", "--cut", "1", "--crf", "40", "--emit", place)
    assert done.returncode == 0, done.stderr
    document = json.loads(place.read_text())
    assert [chunk["frameCount"] for chunk in document["chunks"]] == [30, 30]
    assert document["chunks"][0]["command"].startswith("helios-encode-chunk source.mkv chunks/0000.mp4 ")
    assert document["source"] == {"file": "source.mkv", "start": "0", "sound": "copy", "byRanges": True}
    assert here("validate", place).returncode == 0


def test_what_is_refused(tmp_path: Path) -> None:
    """A source that is none, and settings that contradict each other, are refused with exit code 2 and one line."""
    write_film(tmp_path / "film.mkv", FILM)
    for words, told in (
        (("none.mkv", "-o", "out.mkv"), "none.mkv is not a file"),
        (("film.mkv",), "Name the video to write"),
        (("film.mkv", "-o", "out.mkv", "--shortest", "5", "--longest", "6"), "at least twice the shortest"),
        (("film.mkv", "-o", "out.avi"), "can't tell the container"),
        (("film.mkv", "-o", "out.mkv", "--fps", "many"), "--fps 'many'"),
        (("shot_####.png", "-o", "out.mkv"), "have no rate"),
        (("shot_####.png", "-o", "out.mkv", "--fps", "24"), "no .png is there"),
    ):
        done = here("encode", *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert told in done.stderr
        assert "Traceback" not in done.stderr
