"""Judge the fingerprints of a job's chunks: where two chunks meet, and whether one repeats another. No I/O.

What is certain fails a chunk; what is only suspicious is a warning. A job whose pictures stand still is never failed:
equal pictures are certain to be wrong only where the pictures around them move. `tests/helios/media/test_pictures.py`
has the good and the bad jobs by which the limits were chosen; docs/verification.md has the results.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import floor, sqrt
from statistics import median

from helios.media.numbers import LEVEL, LUMA, Numbers, distance, shifts
from helios.media.seams import Piece, Seam
from helios.models.pictures import PictureFault, PictureFinding, Steps

REPEAT_SHARE, REPEAT_SUSPECT_SHARE = 0.4, 0.7
"""A chunk's first frame certainly repeats the frame before if it differs from that by at most this share of the
smallest step inside both chunks; up to the second share it may. At the seams of 41 good jobs the share was 0.99 or
more. Where a frame was repeated it was 0.04 to 0.34, and 0.54 where encoding changes small blocks by half a step."""
REPEAT_MOVING, REPEAT_STEADY, REPEAT_FRAMES = 0.4, 0.35, 12
"""Nothing is said unless the smallest step is this many levels, and this share of the mean step, in chunks of so many
frames together: content that pauses, or moves by fits and starts, may happen to move least just at a seam."""
REPEAT_MOST = 1.0
"""Levels. A larger difference is no repeat, whatever the steps: encoding a frame twice makes 0.7 (crf 12 to 30)."""
SAME = 0.5
"""Levels. Frames at the same place of two chunks that show the same content differ less: an encoder makes the same of
them, and measured 0.0; the room is for encoders that use several threads."""
SAME_SHARE, MOVING = 0.5, 1.0
"""… or less than this share of the mean step, where that is below so many levels."""
MOVING_LEAST, JUMP_LEAST = 0.1, 1.0
"""Levels. Still content has smaller steps, and is not judged; nor is a jump that nobody sees."""
RESTART_JUMP = 1.5
"""A restarted chunk does not go on from the chunk before: the step across the seam is this many times the largest step
inside both chunks. A loop of a chunk's length, which repeats frames rightly, had 1.0. Where a chunk has cuts it is only
suspicious, if it is this many times the third largest step."""
EXACT, EXACT_JUMP = 0.02, 1.15
"""Levels. Frames that are so much the same need this factor: encoders make the same file of the same pictures."""
SHIFT_LEAST, COLOUR_SHIFT_LEAST = 1.0, 2.5
"""Levels, of the mean of luma, and of a chroma plane. Good jobs had up to 0.8 and 1.7 at seams where pictures went on
(crf 12 to 45)."""
SHIFT_FACTOR = 3.0
"""… and this many times the largest change inside both chunks. Good jobs had up to 2.8 where the change was above 0.2
levels, and pictures went on."""
SHIFT_SHARE = 0.45
"""… and brightness by this share of all that changes: in a texture that moves, encoding shifts it by a fifth."""
SPREAD_SHARE, SPREAD_LEAST, SPREAD_BLACK = 0.5, 0.2, 24.0
"""… in so many blocks, at least, of those that are brighter than the last levels (17 is black): by the second share of
the change of the mean, and in its direction. Another gamma or range changes all that is not black; a caption that
begins at a seam changes the blocks behind it."""
EVERYWHERE = 0.4
"""A jump is usual if the median of those at other seams is this share of it: the last frames of starved chunks drift
away from what their first frames show, by 0.7 to 1.5 levels at every seam (x264, crf 34)."""
MANY = 20
"""Of more seams one makes no difference."""
ALIKE_LEAST, ALIKE_SLACK = 0.75, 0.03
"""Pictures go on across a seam if their blocks correlate at least so much, and at most so much less than those of the
frames on both sides. Measured: cuts -0.11 to 0.77; slides that change 0.93 beside 1.00; motion as inside."""
KEPT_FOR_KEY = 8
"""Chunks with like first frames that are compared with a new one at most."""
CELL = 4.0
"""Levels. Side of a cell of the index of first frames."""


def judge_repeat(before: Piece, after: Piece) -> PictureFinding | None:
    """Say whether a chunk begins with the last frame of the chunk before: it is one frame early."""
    steps = _both(before, after)
    if steps is None or before.frames + after.frames < REPEAT_FRAMES:
        return None
    smallest, mean = (
        min(each.smallest for each in steps),
        max(each.mean if each.usual is None else each.usual for each in steps),
    )
    if smallest < max(REPEAT_MOVING, REPEAT_STEADY * mean):
        return None
    step = distance(before.last[-1], after.first[0])
    if step > min(REPEAT_MOST, REPEAT_SUSPECT_SHARE * smallest):
        return None
    message = (
        f"chunk {after.chunk_id} begins with the last frame of chunk {before.chunk_id}: frame {after.start_frame} "
        f"differs from the frame before by {step:.2f} of 255 levels, other frames by {smallest:.2f} or more; it is "
        "one frame early, or the chunk before is one frame late"
    )
    return _at_seam(PictureFault.REPEAT, before, after, message, is_certain=step <= REPEAT_SHARE * smallest)


def judge_restart(before: Piece, chunk: Piece, earlier: Piece) -> PictureFinding | None:
    """Say whether a chunk shows the frames of an earlier chunk again.

    Args:
        before: The chunk just before it.
        chunk: The chunk.
        earlier: Any chunk of smaller frame numbers.
    """
    if chunk.frames != earlier.frames or not (steps := _both(chunk, earlier)) or not (around := _both(before, chunk)):
        return None
    if min(each.mean for each in steps) < MOVING_LEAST:
        return None
    # Workers of two versions may keep different numbers of frames: the outermost are compared.
    pairs = [*zip(chunk.first, earlier.first, strict=False),
             *zip(chunk.last[::-1], earlier.last[::-1], strict=False)]  # fmt: skip
    # In slow content frames are alike that are not the same.
    apart = max(distance(one, other) for one, other in pairs)
    if apart > SAME_SHARE * min(MOVING, *(each.mean for each in steps)):
        return None
    # A loop whose end leads back to its begin goes on without a jump.
    jump = distance(before.last[-1], chunk.first[0])
    factor = EXACT_JUMP if apart <= EXACT else RESTART_JUMP
    is_certain = jump >= max(JUMP_LEAST, factor * max(each.largest for each in around))
    if not is_certain and jump < max(JUMP_LEAST, factor * max(each.third or each.largest for each in around)):
        return None
    return PictureFinding(
        kind=PictureFault.RESTART,
        is_certain=is_certain,
        chunk_id=chunk.chunk_id,
        frame=chunk.start_frame,
        other_chunk_id=earlier.chunk_id,
        other_frame=earlier.start_frame,
        message=(
            f"chunk {chunk.chunk_id} (from frame {chunk.start_frame}) shows the frames of chunk {earlier.chunk_id} "
            f"(from frame {earlier.start_frame}) again, and does not go on from chunk {before.chunk_id}: does its "
            "command begin at its own frame?"
        ),
    )


def judge_jump(before: Piece, after: Piece) -> PictureFinding | None:
    """Say whether brightness or colour jump at a seam across which the pictures go on."""
    if not (steps := _both(before, after)):
        return None
    shift, colour = shifts(before.last[-1], after.first[0])
    inside, colour_inside = max(each.shift for each in steps), max(each.colour_shift for each in steps)
    least = max(SHIFT_LEAST, SHIFT_SHARE * distance(before.last[-1], after.first[0]))
    is_jump = abs(shift) >= max(least, SHIFT_FACTOR * inside) and _is_spread(before.last[-1], after.first[0], shift)
    is_colour_jump = abs(colour) >= max(COLOUR_SHIFT_LEAST, SHIFT_FACTOR * colour_inside)
    if not (is_jump or is_colour_jump) or not _go_on(before, after):
        return None
    found, usual, what = (shift, inside, "brightness") if is_jump else (colour, colour_inside, "colour")
    message = (
        f"the {what} jumps between chunk {before.chunk_id} and chunk {after.chunk_id}, at frame "
        f"{after.start_frame}: by {found:+.1f} of 255 levels, inside these chunks by {usual:.1f} at most"
    )
    return _at_seam(PictureFault.JUMP, before, after, message)


def _is_spread(one: Numbers, other: Numbers, shift: float) -> bool:
    """Whether the brightness of most of a picture changes as its mean does."""
    pairs = [pair for pair in zip(one[:LUMA], other[:LUMA], strict=True) if max(pair) >= SPREAD_BLACK * LEVEL]
    like = sum((b - a) * shift >= SPREAD_LEAST * shift * shift * LEVEL for a, b in pairs)
    return like >= SPREAD_SHARE * len(pairs)


class UsualShifts:
    """How the brightness and the colour change at a job's seams."""

    def __init__(self, seams: Sequence[Seam]) -> None:
        self._seams = seams
        self._usual = _median_shifts(seams) if len(seams) > MANY else None

    def have(self, finding: PictureFinding, seam: Seam) -> bool:
        """Whether a jump is as at most other seams: then encoding makes it so."""
        if finding.kind is not PictureFault.JUMP or len(self._seams) < 3:
            return False
        usual = self._usual or _median_shifts([other for other in self._seams if other is not seam])
        own = seam.shift, seam.colour_shift
        plane = 0 if abs(own[0]) >= SHIFT_LEAST else 1
        return usual[plane] * own[plane] >= EVERYWHERE * own[plane] ** 2


def _median_shifts(seams: Sequence[Seam]) -> tuple[float, float]:
    return median(seam.shift for seam in seams), median(seam.colour_shift for seam in seams)


class FirstFrames:
    """Finds chunks that begin alike, without comparing each chunk with each.

    A chunk stands in one cell of a grid over the mean brightness of its first picture's quarters. A picture within
    `SAME` of another is in the same cell or in a neighbour that its values are next to.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[int, ...], dict[int, Piece]] = {}

    def add(self, piece: Piece) -> None:
        """Take a chunk in, unless its cell is full."""
        cell = self._cells.setdefault((piece.frames, *(floor(value / CELL) for value in _quarters(piece.first[0]))), {})
        if piece.chunk_id in cell or len(cell) < KEPT_FOR_KEY:
            cell[piece.chunk_id] = piece

    def remove(self, piece: Piece) -> None:
        """Forget a chunk."""
        for cell in self._cells.values():
            cell.pop(piece.chunk_id, None)

    def like(self, piece: Piece) -> Iterator[Piece]:
        """Chunks of as many frames that may begin as this one does."""
        near = [
            {floor((value + slack) / CELL) for slack in (-2 * SAME, 2 * SAME)} for value in _quarters(piece.first[0])
        ]
        for place in product((piece.frames,), *near):
            yield from (other for other in self._cells.get(place, {}).values() if other.chunk_id != piece.chunk_id)


def _at_seam(
    kind: PictureFault, before: Piece, after: Piece, message: str, *, is_certain: bool = False
) -> PictureFinding:
    """A finding about the first frame of a chunk beside the last frame of the chunk before."""
    return PictureFinding(
        kind=kind,
        is_certain=is_certain,
        chunk_id=after.chunk_id,
        frame=after.start_frame,
        other_chunk_id=before.chunk_id,
        other_frame=before.end_frame - 1,
        message=message,
    )


def _both(one: Piece, other: Piece) -> tuple[Steps, Steps] | None:
    """The steps of two chunks; None where one has a single frame, so that nothing is known of its motion."""
    first, second = one.pictures.steps, other.pictures.steps
    edges = (one.first, one.last, other.first, other.last)
    return (first, second) if first and second and min(map(len, edges)) > 1 else None


def _go_on(before: Piece, after: Piece) -> bool:
    """Whether the pictures on both sides of a seam show the same things: no cut."""
    across = _correlation(before.last[-1], after.first[0])
    inside = (_correlation(*before.last[-2:]), _correlation(*after.first[:2]))
    if across is None or None in inside:
        return False
    return across >= max(ALIKE_LEAST, min(each for each in inside if each is not None) - ALIKE_SLACK)


def _correlation(one: Numbers, other: Numbers) -> float | None:
    """How far the blocks of luma are bright and dark in the same places, -1 to 1; None for a picture of one colour."""
    first, second = ([value - sum(each[:LUMA]) / LUMA for value in each[:LUMA]] for each in (one, other))
    squares = sum(value * value for value in first), sum(value * value for value in second)
    if min(squares) < LUMA * (LEVEL / 2) ** 2:
        return None
    return sum(a * b for a, b in zip(first, second, strict=True)) / sqrt(squares[0] * squares[1])


def _quarters(numbers: Numbers) -> list[float]:
    """The mean brightness of a picture's quarters, in levels."""
    rows = [numbers[8 * row : 8 * row + 8] for row in range(8)]
    return [
        sum(sum(row[left : left + 4]) for row in rows[top : top + 4]) / (16 * LEVEL)
        for top in (0, 4)
        for left in (0, 4)
    ]
