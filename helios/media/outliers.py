"""Judge what only one chunk of a job has, and what else is known of the whole job. No I/O.

Everything here is only suspicious: a film may have one such place. So nothing is said where a job has several.
"""

from collections.abc import Iterator, Sequence

from helios.media.evenness import EVEN
from helios.media.numbers import GRID, LEVEL, LUMA, unpack
from helios.media.odd_chunks import CUT_SHARE, Scale, judge_damage, judge_odd_chunks
from helios.media.seams import Piece, Seam, within
from helios.media.uneven_motion import judge_shift, judge_stutter
from helios.models.pictures import Flash, PictureFault, PictureFinding

CUTS_INSIDE, CUT_FACTOR = 4, 2.5
"""Where more than one chunk in so many has a cut, chunks have little in common. A cut is a step this many times as
large as the third largest of its chunk."""
SPARK_LEAST, SPARK_GAP, SPARK_FACTOR = 10.0, 0.35, 3.5
"""As those of a flash, of single blocks."""
SPARK_ROUGH, SPARK_USUAL = 2.0, 8.0
"""A block that stands out does so by the first factor of what any block of other chunks changes suddenly, and by the
second of what is usual in its chunk."""


def judge_outliers(pieces: Sequence[Piece], seams: Sequence[Seam]) -> Iterator[PictureFinding]:
    """Find what only one chunk of a job has.

    Args:
        pieces: All chunks that are known, in frame order.
        seams: All seams that are known, in frame order.
    """
    yield from judge_odd_chunks(pieces, seams)
    if found := _strip(pieces):
        yield found
    if shifted := judge_shift(seams):
        yield shifted
    # Where scenes change at seams, chunks are unlike each other by right.
    scale = Scale(pieces, seams)
    changes = sum(1 for seam in seams if scale.changed(seam))
    if sum(map(scale.is_cut, seams)) > 2 + len(seams) // CUT_SHARE:
        return
    if not shifted and (found := judge_stutter(pieces, seams)):
        yield found
    if changes + sum(map(_has_cut, pieces)) > max(1, len(pieces) // CUTS_INSIDE):
        return
    yield from judge_damage(pieces, seams)
    if found := _spark(pieces):
        yield found


def _has_cut(piece: Piece) -> bool:
    steps = piece.pictures.steps
    return steps is not None and steps.third is not None and steps.largest >= CUT_FACTOR * max(steps.third, EVEN)


def _strip(pieces: Sequence[Piece]) -> PictureFinding | None:
    """The only chunk in which a row of blocks stands still alone."""
    having = [piece for piece in pieces if piece.pictures.held is not None]
    if len(having) != 1 or len(pieces) < 2:
        return None
    piece, held = having[0], having[0].pictures.held
    if held is None or not held.is_clear:
        return None
    frame = piece.start_frame + held.start
    message = (
        f"a part of the picture stands still at frames {frame} to {frame + held.frames - 1} (chunk {piece.chunk_id}), "
        "and then catches up, while the rest moves; no other chunk has such a part"
    )
    return within(PictureFault.STRIP, piece, frame, message)


def _spark(pieces: Sequence[Piece]) -> PictureFinding | None:
    """The frame of the job of which a block stands out most, if no other chunk has one like it."""
    ranked = sorted(((_height(piece.pictures.spark), position) for position, piece in enumerate(pieces)), reverse=True)
    if len(ranked) < 2:
        return None
    (most, position), (second, _) = ranked[0], ranked[1]
    piece, spark = pieces[position], pieces[position].pictures.spark
    if spark is None or spark.gap > SPARK_GAP * spark.height or most < max(SPARK_LEAST, SPARK_FACTOR * second):
        return None
    usual = 0.0 if piece.pictures.rough is None else max(piece.pictures.rough.usual[:GRID])
    if spark.height < SPARK_USUAL * usual:
        return None
    others = [other.pictures.rough for other in pieces if other is not piece and other.pictures.rough is not None]
    if not others or spark.height * LEVEL < SPARK_ROUGH * max(max(unpack(other.blocks)[:LUMA]) for other in others):
        return None
    frame = piece.start_frame + spark.frame
    message = (
        f"a part of frame {frame} (chunk {piece.chunk_id}) differs from the frames before and after it by "
        f"{spark.height:.1f} of 255 levels, while these differ by {spark.gap:.1f}; no other chunk has such a frame"
    )
    return within(PictureFault.SPARK, piece, frame, message)


def _height(spark: Flash | None) -> float:
    return 0.0 if spark is None else spark.height - spark.gap
