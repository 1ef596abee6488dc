"""Judge what happens inside a job's chunks: black, frozen and one-coloured stretches, and flashes. No I/O.

All of it is only suspicious, and only where the rest of the job has nothing like it: films have black, stills and
flashes. A fade is no fault: only what begins and ends from one frame to the next is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from helios.media.numbers import distance
from helios.media.seams import Piece
from helios.models.pictures import PictureFault, PictureFinding, Stretch

STRETCH_FRAMES, FROZEN_FRAMES = 3, 6
"""Frames of a black or one-coloured stretch, and of a frozen one, from which on it counts."""
EDGE_FRAMES = 3
"""Frames of the chunks on both sides of one that stands still throughout."""
ABRUPT, ABRUPT_FACTOR = 10.0, 3.0
"""A stretch begins and ends abruptly if both its steps are at least so many levels, and so many times the step just
outside. Steps between pictures and black, or one colour, measured 34 to 112, and 8 to 70 times the step outside. In
fades over 8 and 12 frames they measured 18 to 28, and 1.0 times the step outside."""
CATCH_UP = 2.2
"""A frozen stretch ends in a jump if the step out of it is this many times those before and after. Where 17 frames
stood still, it was 2.9 to 9.7 times the mean step (pictures that are only blocks of a texture are soon unlike, and no
more so after 17 frames); where motion starts again, 1.0."""
EVEN_LEAST, EVEN_MOST = 0.2, 3.0
"""Levels: what moves before and after such a stretch does so by that much from frame to frame. The one is at most so
many times the other."""
CATCH_UP_MOST = 3.0
"""… and the step out of it at most so many times what was left out."""
SETTLED = 3
"""Frames of such a chunk that encoding may still change: the second differed from the first by 0.15 levels (crf 28)."""
GOES_ON = 1.6
"""A chunk that stands still throughout needs no jump at its end: what moves is soon unlike (a pan by 7 pixels over
blocks of 4). Instead, its first frame goes on from the chunk before: its step is like the two before, within this
factor, and no cut."""
FLASH_LEAST, FLASH_GAP, FLASH_FACTOR = 4.0, 0.6, 3.0
"""A frame is a flash if it stands out from both neighbours by these levels more than they differ from each other; if
they differ by at most this share of its height; and if it stands out so many times as much as any frame of another
chunk, and by so many times the mean step. Flashes and wrong frames stood out by 3.5 to 81 levels, with a gap of 0.03 to
0.56 of their height; frames of good jobs without flashes by 1.1 at most."""


@dataclass(frozen=True)
class _Kind:
    """A kind of stretch that begins and ends abruptly."""

    fault: PictureFault
    what: str
    of: Callable[[Piece], Stretch]


_ABRUPT_KINDS = (
    _Kind(PictureFault.BLACK, "black", lambda piece: piece.pictures.black),
    _Kind(PictureFault.PLAIN, "of one colour", lambda piece: piece.pictures.plain),
)


def judge_inside(pieces: Sequence[Piece]) -> Iterator[PictureFinding]:
    """Find what only one chunk of a job has.

    Args:
        pieces: All chunks that are known, in frame order.
    """
    for kind in _ABRUPT_KINDS:
        having = [position for position, piece in enumerate(pieces) if kind.of(piece).frames >= STRETCH_FRAMES]
        found = [finding for position in having if (finding := _judge_abrupt(kind, pieces, position))]
        if len(found) == 1:
            yield found[0]
    frozen = [position for position in range(len(pieces))
              if _catches_up(pieces, position) or _is_frozen_throughout(pieces, position)]  # fmt: skip
    if len(frozen) == 1:
        yield _frozen(pieces[frozen[0]])
    if flash := _judge_flash(pieces):
        yield flash


def _judge_abrupt(kind: _Kind, pieces: Sequence[Piece], position: int) -> PictureFinding | None:
    piece = pieces[position]
    stretch = kind.of(piece)
    (before, entry), (exit_, after) = _edges(pieces, position, stretch)
    if not (_is_abrupt(entry, before) and _is_abrupt(exit_, after)):
        return None
    return _finding(kind.fault, piece, stretch, f"{_range(piece, stretch)} are {kind.what}, as no other chunk is")


def _catches_up(pieces: Sequence[Piece], position: int) -> bool:
    """Whether frames stand still amid even motion, which then is where it would be without that.

    A pause goes on from where it stopped. What begins after a hold and a cut moves otherwise than what was before.
    """
    stretch = pieces[position].pictures.frozen
    before, (exit_, after) = _step_before(pieces, position, stretch), _edges(pieces, position, stretch)[1]
    if stretch.frames < FROZEN_FRAMES or (position == 0 and stretch.start < 3):
        return False
    if before is None or exit_ is None or after is None:
        return False
    slow, fast = sorted((before, after))
    most = CATCH_UP_MOST * fast * (stretch.frames + 1)
    return slow >= max(EVEN_LEAST, fast / EVEN_MOST) and CATCH_UP * fast <= exit_ <= most


def _is_frozen_throughout(pieces: Sequence[Piece], position: int) -> bool:
    """Whether a whole chunk stands still, though the chunk before moves up to its end, and the next from its begin.

    A pause would have to begin and to end exactly with the chunk.
    """
    piece, stretch = pieces[position], pieces[position].pictures.frozen
    if not 0 < position < len(pieces) - 1 or stretch.frames < max(FROZEN_FRAMES, piece.frames - SETTLED):
        return False
    one, two = pieces[position - 1], pieces[position + 1]
    is_between = one.end_frame == piece.start_frame and two.start_frame == piece.end_frame
    if not is_between or min(len(one.last), len(two.first)) < EDGE_FRAMES:
        return False
    before, after = list(map(distance, one.last, one.last[1:])), list(map(distance, two.first, two.first[1:]))
    entry, exit_ = distance(one.last[-1], piece.first[0]), distance(piece.last[-1], two.first[0])
    if min(*before, entry, exit_, *after) < EVEN_LEAST:
        return False
    return min(before) / GOES_ON <= entry <= GOES_ON * max(before)


def _frozen(piece: Piece) -> PictureFinding:
    stretch = piece.pictures.frozen
    message = f"{_range(piece, stretch)} stand still, as no other chunk does, while the frames before and after move"
    return _finding(PictureFault.FROZEN, piece, stretch, message)


def _judge_flash(pieces: Sequence[Piece]) -> PictureFinding | None:
    """The frame of the job that stands out most, if no other chunk has one like it."""
    ranked = sorted(
        ((piece.pictures.flash.height - piece.pictures.flash.gap, position)
         for position, piece in enumerate(pieces) if piece.pictures.flash),
        reverse=True,
    )  # fmt: skip
    if not ranked or len(pieces) < 2:
        return None
    (most, position), second = ranked[0], ranked[1][0] if len(ranked) > 1 else 0.0
    piece = pieces[position]
    flash, steps = piece.pictures.flash, piece.pictures.steps
    if flash is None or steps is None or flash.gap > FLASH_GAP * flash.height:
        return None
    if most < max(FLASH_LEAST, FLASH_FACTOR * second) or flash.height < FLASH_FACTOR * steps.mean:
        return None
    frame = piece.start_frame + flash.frame
    message = (
        f"frame {frame} (chunk {piece.chunk_id}) differs from the frames before and after it by {flash.height:.1f} of "
        f"255 levels, while these differ by {flash.gap:.1f}; no other chunk has such a frame"
    )
    return _finding(PictureFault.FLASH, piece, Stretch(start=flash.frame, frames=1), message)


def _step_before(pieces: Sequence[Piece], position: int, stretch: Stretch) -> float | None:
    """The step before frames stand still; None at the beginning of a job."""
    earlier = pieces[max(position - 1, 0) : position]
    if stretch.start > 1 or not earlier or earlier[0].end_frame != pieces[position].start_frame:
        return stretch.before
    return distance(earlier[0].last[-1], pieces[position].first[0])


_Edge = tuple[float | None, float | None]


def _is_abrupt(step: float | None, outside: float | None) -> bool:
    return step is not None and outside is not None and step >= max(ABRUPT, ABRUPT_FACTOR * outside)


def _edges(pieces: Sequence[Piece], position: int, stretch: Stretch) -> tuple[_Edge, _Edge]:
    """The step before a stretch and the step into it; the step out of it and the step after. Also across the seams.

    None where it is not known.
    """
    piece, begin, end = pieces[position], (stretch.before, stretch.entry), (stretch.exit, stretch.after)
    earlier, later = pieces[max(position - 1, 0) : position], pieces[position + 1 : position + 2]
    if stretch.start == 0 and earlier and earlier[0].end_frame == piece.start_frame and len(earlier[0].last) > 1:
        last = earlier[0].last
        begin = distance(last[-2], last[-1]), distance(last[-1], piece.first[0])
    is_at_end = stretch.start + stretch.frames == piece.frames
    if is_at_end and later and later[0].start_frame == piece.end_frame and len(later[0].first) > 1:
        first = later[0].first
        end = distance(piece.last[-1], first[0]), distance(first[0], first[1])
    return begin, end


def _range(piece: Piece, stretch: Stretch) -> str:
    first = piece.start_frame + stretch.start
    return f"frames {first} to {first + stretch.frames - 1} (chunk {piece.chunk_id})"


def _finding(kind: PictureFault, piece: Piece, stretch: Stretch, message: str) -> PictureFinding:
    """A finding whose frame is compared with the frame before it, or, in the first of the chunk, with the one after."""
    beside = stretch.start - 1 if stretch.start > 0 else min(stretch.start + stretch.frames, piece.frames - 1)
    return PictureFinding(
        kind=kind,
        chunk_id=piece.chunk_id,
        frame=piece.start_frame + stretch.start,
        other_chunk_id=piece.chunk_id,
        other_frame=piece.start_frame + beside,
        message=message,
    )
