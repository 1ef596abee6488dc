"""A source is looked at in pieces side by side, with the same result as in one go."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import pytest

from helios.encode.analysis import analyse
from helios.encode.pieces import PieceError, look_in_pieces, pieces_of
from helios.errors import RequestError
from testbed.encodes import Film, write_film
from testbed.video import damage
from tests.helios.encode.test_exact import SOURCES, UNEVEN, VARIABLE

CLOSED = (("x264-params", "keyint=16:bframes=3:open-gop=0:scenecut=0:log-level=error"),)
H264 = {
    "closed.mp4": Film(frames=240, options=CLOSED, sound=("aac",)),
    "closed.mkv": Film(frames=240, options=CLOSED),
    "closed.ts": Film(frames=240, options=CLOSED, sound=("aac",)),
    "uneven.mp4": replace(VARIABLE["vfr.mp4"], options=CLOSED, frames=120, steps=UNEVEN * 2),
}
OTHERS = ("hevc.mp4", "hevc.ts", "intra.mkv", "vp9.webm", "mpeg4.avi", "mpeg2.ts")
FILMS = H264 | {name: replace(SOURCES[name], frames=240) for name in OTHERS}


@pytest.mark.parametrize("name", FILMS)
def test_pieces_are_the_whole(tmp_path: Path, name: str) -> None:
    """Times, key frames, scenes and rate don't depend on the pieces, nor on how many are looked at at once."""
    source = write_film(tmp_path / name, FILMS[name])
    whole = analyse(source, with_scenes=True, at_once=1)
    for seconds, at_once in ((0.5, 3), (1.5, 2)):
        pieces = pieces_of(source, seconds=seconds)
        look_in_pieces(source, pieces, at_once=at_once, threads=1)  # else the next line's would be of one go
        assert len(pieces) > 1
        assert analyse(source, with_scenes=True, at_once=at_once, piece_seconds=seconds) == whole


@pytest.mark.parametrize("name", [*SOURCES, *VARIABLE])
def test_whatever_the_source(tmp_path: Path, name: str) -> None:
    """Where pieces can't be decoded by themselves the source is looked at in one go, and the result is the same."""
    source = write_film(tmp_path / name, (SOURCES | VARIABLE)[name])
    whole = analyse(source, with_scenes=True, at_once=1)
    assert analyse(source, with_scenes=True, at_once=3, piece_seconds=0.4) == whole


def test_a_scene_that_begins_with_a_piece(tmp_path: Path) -> None:
    """A cut between two pieces is found."""
    source = write_film(tmp_path / "film.mp4", replace(H264["closed.mp4"], scene_frames=32))
    starts = {piece.start for piece in pieces_of(source, seconds=0.5)}
    found = analyse(source, with_scenes=True, at_once=2, piece_seconds=0.5)
    cuts = {found.times[number] for number in found.scenes or ()}
    assert starts & cuts


def test_a_damaged_piece(tmp_path: Path) -> None:
    """A picture that can't be decoded gives the error of one go, whichever piece it lies in."""
    source = write_film(tmp_path / "film.mkv", replace(H264["closed.mkv"], size=(256, 256)))
    damage(source, 150)
    told = Counter[str]()
    for at_once in (1, 3):
        with pytest.raises(RequestError) as error:
            analyse(source, with_scenes=True, at_once=at_once, piece_seconds=0.5)
        told[str(error.value)] += 1
    assert max(told.values()) == 2
    with pytest.raises((RequestError, PieceError, av.FFmpegError)):
        look_in_pieces(source, pieces_of(source, seconds=0.5), at_once=3, threads=1)


def test_how_far_it_is(tmp_path: Path) -> None:
    """The number of pictures grows by one to that of the source, whichever piece they belong to."""
    source = write_film(tmp_path / "closed.mp4", H264["closed.mp4"])
    told: list[int] = []
    analyse(source, with_scenes=True, at_once=3, piece_seconds=1, on_picture=lambda done, _: told.append(done))
    assert told == list(range(1, 241))
