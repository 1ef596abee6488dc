"""Good jobs pass whatever they show; jobs whose chunks repeat, restart or jump are caught, on real files."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from helios.media.job_pictures import JobPictures
from helios.media.pictures import FirstFrames, Piece
from helios.media.verify import verify_output
from helios.models.pictures import ChunkPictures, PictureFault
from helios.models.verification import VerifyLevel
from testbed.moving_pictures import (
    CERTAIN,
    GOOD,
    HEIGHT,
    MOVING,
    SUSPICIOUS,
    WIDTH,
    Chunks,
    Look,
    write_pictures,
)

FAST_GOOD = ("one slide", "black", "two colour cards", "strobe", "motion that begins and ends",
             "12 fps shown at 30, repeats at seams", "chunks of one frame", "chunks of two and three frames",
             "slides that change at seams", "a short loop that jumps")  # fmt: skip
AT_SEAMS = ("brighter by 3", "gamma", "range", "dimmed")
FAST_BASE = "pan, 24 fps, no B-frames"
MISSED = {("ball, 60 fps", "one frame early"), ("ball, 60 fps", "every chunk one frame early")}
"""Motion by fits and starts, in which nothing is certain."""
SUSPECTED = {("pan", "one frame early")}
"""Where encoding changes small blocks by half a step, a repeat is only suspicious."""


def pieces(folder: Path, chunks: Chunks, look: Look) -> list[Piece]:
    """Encode and verify every chunk of a job."""
    found, start = [], 0
    for index, pictures in enumerate(chunks):
        path = write_pictures(folder / f"{index}.mp4", pictures, look)
        verified = verify_output(path, frames=len(pictures), fps=Fraction(look.fps), width=WIDTH, height=HEIGHT,
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


def _bases(kind: str) -> list[object]:
    return [pytest.param(base, kind, marks=() if base == FAST_BASE else pytest.mark.slow) for base in MOVING]


@pytest.mark.parametrize(("base", "kind"), [case for kind in CERTAIN for case in _bases(kind)])
def test_a_certain_fault_fails_its_chunk(tmp_path: Path, base: str, kind: str) -> None:
    """A chunk that begins one frame early, or shows another chunk's frames, fails."""
    failures, warnings = judge(pieces(tmp_path, CERTAIN[kind](GOOD[base]), GOOD[base].look))
    if (base, kind) in MISSED:
        return
    if (base, kind) in SUSPECTED:
        assert warnings == {(PictureFault.REPEAT, 2)}
        return
    blamed = {"one frame early": (PictureFault.REPEAT, 2), "every chunk one frame early": (PictureFault.REPEAT, 1),
              "restart": (PictureFault.RESTART, 1), "another chunk": (PictureFault.RESTART, 3)}[kind]  # fmt: skip
    assert blamed in failures


@pytest.mark.parametrize(("base", "kind"), [case for kind in AT_SEAMS for case in _bases(kind)])
def test_a_jump_at_a_seam_is_a_warning(tmp_path: Path, base: str, kind: str) -> None:
    """A chunk that is brighter, darker, or of another gamma or range than its neighbours is suspicious, no more."""
    failures, warnings = judge(pieces(tmp_path, SUSPICIOUS[kind](GOOD[base]), GOOD[base].look))
    assert not failures
    assert {found for found in warnings if found[0] is PictureFault.JUMP} & {
        (PictureFault.JUMP, 2),
        (PictureFault.JUMP, 3),
    }


INSIDE = {
    "black chunk": PictureFault.BLACK,
    "black inside": PictureFault.BLACK,
    "one colour inside": PictureFault.PLAIN,
    "frozen inside": PictureFault.FROZEN,
    "flash": PictureFault.FLASH,
    "wrong frame": PictureFault.FLASH,
}
UNSEEN = {(FAST_BASE, "frozen inside"), (FAST_BASE, "wrong frame")}
"""A fast pan over small blocks: two frames anywhere in it are about as different as frames three apart."""


@pytest.mark.parametrize(
    ("base", "kind"), [case for kind in INSIDE if (FAST_BASE, kind) not in UNSEEN for case in _bases(kind)]
)
def test_what_only_one_chunk_has_inside_is_a_warning(tmp_path: Path, base: str, kind: str) -> None:
    """Frames that are black, of one colour, or still, and a flash, are suspicious where no other chunk has them."""
    failures, warnings = judge(pieces(tmp_path, SUSPICIOUS[kind](GOOD[base]), GOOD[base].look))
    assert not failures
    assert (INSIDE[kind], 2) in warnings


def test_what_several_chunks_have_is_no_warning(tmp_path: Path) -> None:
    """The same cut to black in two chunks belongs to the film."""
    job = GOOD[FAST_BASE]
    chunks = SUSPICIOUS["black inside"](job)
    chunks[4] = chunks[2]
    assert not judge(pieces(tmp_path, chunks, job.look))[1] & {(PictureFault.BLACK, 2), (PictureFault.BLACK, 4)}


def test_a_chunk_that_is_rendered_again_is_judged_anew(tmp_path: Path) -> None:
    """A chunk that fails is removed; its second output is judged as if the first had never been."""
    job = GOOD[FAST_BASE]
    good = pieces(tmp_path, job.chunks()[:4], job.look)
    bad = pieces(tmp_path, CERTAIN["one frame early"](job)[:4], job.look)
    pictures = JobPictures()
    for piece in (good[0], good[1], good[3]):
        assert pictures.add(piece) is None
    found = pictures.add(bad[2])
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
