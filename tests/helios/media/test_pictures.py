"""Good jobs pass whatever they show; jobs whose chunks repeat, restart or jump are caught, on real files."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest

from helios.media.job_pictures import JobPictures
from helios.media.pictures import FirstFrames
from helios.media.seams import Piece
from helios.media.verify import verify_output
from helios.models.pictures import ChunkPictures, PictureFault
from helios.models.verification import VerifyLevel
from testbed.films import bad_pictures as bad
from testbed.films.bad_pictures import MakePictures, Scene
from testbed.films.drawn import DrawnFilm
from testbed.films.good import GOOD
from testbed.moving_pictures import Look, MovingJob, Picture, write_pictures

Chunks = list[list[Picture]]
FAST_GOOD = ("one slide", "black", "two colour cards", "strobe", "motion that begins and ends",
             "12 fps shown at 30, repeats at seams", "chunks of one frame", "chunks of two and three frames",
             "slides that change at seams", "a short loop that jumps", "a chart, in which rows of blocks rest",
             "a caption that begins at a seam of a still slide")  # fmt: skip
FAST_BASE = "pan, 24 fps, no B-frames"
MOVING = (
    "waves",
    "waves, high quality",
    "waves, no B-frames, 24 fps",
    "pan",
    FAST_BASE,
    "ball",
    "ball, 60 fps",
    "grain",
)
"""Good jobs in which the faults are made."""
CERTAIN: dict[str, MakePictures] = {
    "one frame early": lambda scene: scene.from_frame(scene.first - 1),
    "restart": lambda scene: scene.from_frame(0),
    "another chunk": lambda scene: scene.from_frame(scene.film.starts[1]),
}
SUSPICIOUS: dict[str, MakePictures] = {
    "brighter by 3": bad.changed(lambda picture: picture + 3),
    "gamma": bad.changed(bad.gamma),
    "range": bad.changed(bad.limited),
    "dimmed": bad.changed(lambda picture: picture * 0.7),
    "black chunk": bad.changed(np.zeros_like),
    "black inside": bad.changed_inside(12, 12, np.zeros_like),
    "one colour inside": bad.changed_inside(12, 12, bad.one_colour),
    "frozen inside": bad.frozen,
    "flash": bad.changed_inside(1, 1, lambda picture: picture * 0.5 + 120),
    "wrong frame": bad.changed_inside(1, 1, lambda picture: picture[::-1]),
    "foreign": bad.foreign,
    "image missing": bad.missing_image,
}
MISSED = {(FAST_BASE, "wrong frame"), ("ball, 60 fps", "frozen inside")}
"""A fast pan over small blocks: any two frames are about as different as frames three apart. A ball that stops where it
turns round: before, it moves by less than a quarter of what it moves afterwards."""
BAD = 3
"""The chunk that goes bad."""


def make_bad(base: str, make: MakePictures) -> Chunks:
    """The chunks of a good job, one of them bad."""
    job = GOOD[base]
    film = DrawnFilm(paint=job.paint, look=job.look, sizes=job.sizes)
    chunks = job.chunks()
    chunks[BAD] = make(Scene(film, BAD, chunks[BAD], Random(1)))  # noqa: S311  not for secrets
    return chunks


def pieces(folder: Path, chunks: Chunks, look: Look) -> list[Piece]:
    """Encode and verify every chunk of a job."""
    found, start = [], 0
    for index, pictures in enumerate(chunks):
        path = write_pictures(folder / f"{index}.{look.container}", pictures, look)
        width, height = look.size
        verified = verify_output(path, frames=len(pictures), fps=Fraction(look.fps), width=width, height=height,
                                 level=VerifyLevel.PICTURES)  # fmt: skip
        assert verified.pictures is not None
        found.append(Piece(index, start, len(pictures), verified.pictures))
        start += len(pictures)
    return found


def judge(chunks: Sequence[Piece]) -> tuple[set[tuple[PictureFault, int]], set[tuple[PictureFault, int]]]:
    """What fails, and what is warned of: kind, and position of the chunk."""
    job = JobPictures()
    failures = [job.add(piece) for piece in chunks]
    return (
        {(found.kind, found.chunk_id) for found in failures if found is not None},
        {(found.kind, found.chunk_id) for found in job.warnings()},
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST_GOOD else pytest.mark.slow) for name in GOOD]
)
def test_a_good_job_passes_without_a_word(tmp_path: Path, name: str) -> None:
    """A good job neither fails nor gets a warning, whatever order its chunks are accepted in."""
    job = GOOD[name]
    found = pieces(tmp_path, job.chunks(), job.look)
    assert judge(found) == (set(), set())
    assert judge(found[::-1]) == (set(), set())


CASES = [
    pytest.param(base, kind, marks=() if base == FAST_BASE and kind in ("restart", "gamma") else pytest.mark.slow)
    for base in MOVING
    for kind in (*CERTAIN, *SUSPICIOUS)
]


@pytest.mark.parametrize(("base", "kind"), CASES)
def test_a_bad_chunk_is_noticed(tmp_path: Path, base: str, kind: str) -> None:
    """A chunk that shows other frames fails, or is warned of where nothing is certain; any other fault is a warning."""
    make = CERTAIN.get(kind) or SUSPICIOUS[kind]
    failures, warnings = judge(pieces(tmp_path, make_bad(base, make), GOOD[base].look))
    found = {chunk for _, chunk in (failures | warnings)}
    assert (base, kind) in MISSED or found & {BAD, BAD + 1}
    if kind in ("restart", "another chunk") and (base, kind) not in MISSED:
        assert (PictureFault.RESTART, BAD) in failures
    if kind in SUSPICIOUS:
        assert not failures


BUSY = {
    "range": (PictureFault.FOREIGN, bad.changed(bad.limited)),
    "frozen throughout": (PictureFault.FROZEN, lambda scene: scene.right[:1] * scene.count),
    "first frame repeated": (PictureFault.STUTTER, bad.first_repeated),
}


@pytest.mark.parametrize("kind", BUSY)
def test_a_flash_in_a_chunk_hides_no_fault(tmp_path: Path, kind: str) -> None:
    """A fault is compared with the frames beside it: a film that has flashes, also in the bad chunk, hides none."""
    word, make = BUSY[kind]

    def paint(n: int) -> Picture:
        return GOOD["waves"].paint(n) + (90 if n % 30 == 11 else 0)

    film = DrawnFilm(paint=paint, look=GOOD["waves"].look)
    chunks = film.chunks()
    assert judge(pieces(tmp_path, chunks, film.look)) == (set(), set())
    chunks[BAD] = make(Scene(film, BAD, chunks[BAD], Random(1)))  # noqa: S311  not for secrets
    _, warnings = judge(pieces(tmp_path, chunks, film.look))
    assert (word, BAD) in warnings


def test_a_scene_as_long_as_a_chunk_is_suspicious(tmp_path: Path) -> None:
    """A scene that begins and ends exactly with a chunk, in a film without other cuts, may as well be another job's."""
    look = Look()
    job = MovingJob(lambda n: GOOD["pan"].paint(n) if n // 30 == 2 else GOOD["waves"].paint(n), look)
    failures, warnings = judge(pieces(tmp_path, job.chunks(), look))
    assert not failures
    assert warnings == {(PictureFault.FOREIGN, 2)}


def test_what_several_chunks_have_is_no_warning(tmp_path: Path) -> None:
    """The same cut to black in two chunks belongs to the film."""
    job = GOOD[FAST_BASE]
    chunks = make_bad(FAST_BASE, SUSPICIOUS["black inside"])
    chunks[1] = [picture if np.any(dark) else dark for picture, dark in zip(chunks[1], chunks[BAD], strict=True)]
    assert PictureFault.BLACK not in {kind for kind, _ in judge(pieces(tmp_path, chunks, job.look))[1]}


def test_a_chunk_that_is_rendered_again_is_judged_anew(tmp_path: Path) -> None:
    """A chunk that fails is removed; its second output is judged as if the first had never been."""
    job = GOOD[FAST_BASE]
    good = pieces(tmp_path, job.chunks()[:4], job.look)
    early = pieces(tmp_path, [*job.chunks()[:2], job.pictures(59, 30)], job.look)
    pictures = JobPictures()
    for piece in (good[0], good[1], good[3]):
        assert pictures.add(piece) is None
    found = pictures.add(early[2])
    assert found is not None
    assert (found.chunk_id, found.frame, found.other_frame) == (2, 60, 59)
    pictures.remove(2)
    assert pictures.warnings() == ()
    assert pictures.add(good[2]) is None
    assert pictures.warnings() == ()


def test_like_first_frames_are_found_among_many(tmp_path: Path) -> None:
    """A chunk is compared with a bounded number of others, also where all chunks of a long job begin alike."""
    job = GOOD["black"]
    (first, *_) = pieces(tmp_path, job.chunks()[:1], job.look)
    kept: ChunkPictures = first.pictures
    index = FirstFrames()
    for number in range(1000):
        index.add(Piece(number, number * 30, 30, kept))
    assert len(list(index.like(Piece(1000, 30_000, 30, kept)))) == 8


def test_what_an_earlier_version_kept_is_judged_as_far_as_it_goes(tmp_path: Path) -> None:
    """Chunks that were accepted by an earlier version have no statistics of motion; others are judged beside."""
    job = GOOD[FAST_BASE]
    found = pieces(tmp_path, job.chunks(), job.look)
    bare = {"spark": None, "uneven": None, "held": None, "rough": None, "sound": None}
    for having in ((), (0,), (1, 3)):
        mixed = [
            piece if piece.chunk_id in having
            else Piece(piece.chunk_id, piece.start_frame, piece.frames, piece.pictures.model_copy(update=bare))
            for piece in found
        ]  # fmt: skip
        assert judge(mixed) == (set(), set())
