"""Where a fade begins and ends exactly with a chunk, pictures change faster from there on, and do not jump."""

from array import array

from helios.media.fingerprints import PictureTaker
from helios.media.job_pictures import JobPictures
from helios.media.numbers import LEVEL, NUMBERS
from helios.media.seams import Piece
from helios.models.pictures import PictureFinding

FRAMES, CHUNKS = 24, 5
FADED = 2


def warnings(levels: list[float]) -> tuple[PictureFinding, ...]:
    """What is said of a film whose brightness has these levels, while it moves evenly."""
    job = JobPictures()
    for number in range(CHUNKS):
        taker = PictureTaker()
        for n in range(FRAMES * number, FRAMES * (number + 1)):
            taker.add(array("H", [round((levels[n] + (block % 7) * 0.1 * n) * LEVEL) for block in range(NUMBERS)]))
        assert job.add(Piece(number, FRAMES * number, FRAMES, taker.result())) is None
    return job.warnings()


def test_a_fade_that_fills_a_chunk_passes() -> None:
    """It goes down from the chunk's first frame on, and is up again with its last."""
    down = [90 - 7.0 * min(n + 1, FRAMES - 1 - n) for n in range(FRAMES)]
    levels = [90.0] * FRAMES * CHUNKS
    levels[FADED * FRAMES : (FADED + 1) * FRAMES] = down
    assert warnings(levels) == ()


def test_a_darker_chunk_does_not_pass() -> None:
    """It jumps at both ends."""
    levels = [90.0] * FRAMES * CHUNKS
    levels[FADED * FRAMES : (FADED + 1) * FRAMES] = [70.0] * FRAMES
    assert {found.chunk_id for found in warnings(levels)} >= {FADED}
