"""Measure how the pictures of two chunks follow each other. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from helios.media.evenness import Evenness
from helios.media.motion import band_sizes, roughness
from helios.media.numbers import Numbers, distance, shifts, unpack
from helios.media.sound_continuity import sound_break
from helios.models.pictures import ChunkPictures, PictureFault, PictureFinding


@dataclass(frozen=True)
class Piece:
    """A chunk, as far as its pictures are judged."""

    chunk_id: int
    """Its id."""
    start_frame: int
    """Its first frame, as the composition counts."""
    frames: int
    """How many."""
    pictures: ChunkPictures
    """What was kept of its pictures."""

    @cached_property
    def first(self) -> tuple[Numbers, ...]:
        """The fingerprints of its first frames."""
        return tuple(map(unpack, self.pictures.first))

    @cached_property
    def last(self) -> tuple[Numbers, ...]:
        """The fingerprints of its last frames."""
        return tuple(map(unpack, self.pictures.last))

    @property
    def end_frame(self) -> int:
        """One past the last frame."""
        return self.start_frame + self.frames


Event = tuple[str, int]
"""A kind of uneven motion, and its frame, counted from the first of the chunk after a seam."""


@dataclass(frozen=True)
class Seam:
    """What is known of the place where two chunks meet."""

    before: Piece
    after: Piece
    step: float
    """The difference of the two frames that meet, in levels."""
    shift: float
    """The change of the mean of luma, in levels."""
    colour_shift: float
    """That of the plane of chroma that changes more."""
    rough: tuple[int, ...]
    """By how much each block jumps there (`_sudden`); empty where a chunk has a single frame."""
    bands: tuple[float, ...]
    """The size of that in each row of blocks, and last in the whole picture, in levels; empty likewise."""
    around: tuple[float, ...]
    """The largest step beside it in each of these, in levels; empty likewise."""
    shifts_around: tuple[float, float]
    """The largest change of the mean of luma beside it, and of chroma, in levels; 0 likewise."""
    events: tuple[Event, ...]
    """Clear dips, doubles and turns of motion that neither chunk shows alone."""
    loose: tuple[Event, ...]
    """All of them, also those around which motion is not steady."""
    is_blink: bool = False
    """Whether only one frame beside it is another picture, or the last frame before it is held."""
    sound_break: float = 0.0
    """How much worse sound goes on there than beside it; 0 where one has none."""


def measure(before: Piece, after: Piece) -> Seam:
    """Measure a seam once; what is kept of it is small."""
    step = distance(before.last[-1], after.first[0])
    shift = shifts(before.last[-1], after.first[0])
    one, two = before.pictures.sound, after.pictures.sound
    broken = sound_break(one, two) if one and two else 0.0
    if min(len(before.last), len(after.first)) < 2:
        return Seam(before, after, step, *shift, (), (), (), (0.0, 0.0), (), (), sound_break=broken)
    four = (*before.last[-2:], *after.first[:2])
    rough = roughness(*four)
    jump = _sudden(rough, four)
    evenness, here = Evenness(), len(before.last[-3:])
    for picture in (*before.last[-3:], *after.first[:3]):
        evenness.add(picture)
    evenness.finish()
    loose = tuple((kind, frame - here) for kind, frame in evenness.all)
    return Seam(
        before,
        after,
        step,
        *shift,
        rough=tuple(jump),
        bands=tuple(band_sizes(jump)),
        around=_around(before.last[-3:], after.first[:3]),
        shifts_around=_shifts_around(before.last[-3:], after.first[:3]),
        events=tuple((kind, frame - here) for kind, found in evenness.found.items() for frame in found),
        loose=loose,
        # Some encoders (SVT-AV1) show a chunk's last frame but one twice: the next chunk catches up.
        is_blink=("dips", -1) in loose or _is_blink(rough, before.last[-3:], after.first[:3]),
        sound_break=broken,
    )


def _around(*sides: Sequence[Numbers]) -> tuple[float, ...]:
    steps = [band_sizes([b - a for a, b in zip(*pair, strict=True)]) for side in sides for pair in pairwise(side)]
    return tuple(map(max, *steps))


def _shifts_around(*sides: Sequence[Numbers]) -> tuple[float, float]:
    found = [shifts(*pair) for side in sides for pair in pairwise(side)]
    return max(abs(luma) for luma, _ in found), max(abs(chroma) for _, chroma in found)


def _sudden(rough: Sequence[int], frames: Sequence[Numbers]) -> list[int]:
    """What of a roughness is a jump: no more than the step goes beyond those before and after it, in each block.

    Where a fade begins or ends, the steps become larger from one frame on, and stay so: that is rough, and no jump.
    """
    return [
        min(size, max(c - b - max(b - a, d - c), 0)) if size > 0 else max(size, min(c - b - min(b - a, d - c), 0))
        for size, a, b, c, d in zip(rough, *frames, strict=True)
    ]


def _is_blink(rough: Sequence[int], last: Sequence[Numbers], first: Sequence[Numbers]) -> bool:
    """Whether the last or the first frame at a seam differs from both its neighbours, and the one beyond does not."""
    steps = [_along(rough, *pair) for pair in pairwise((*last, *first))]
    here = len(last) - 1
    for place, beyond in ((here - 1, here - 2), (here + 1, here + 2)):
        if not 0 <= beyond < len(steps) or steps[place] * steps[here] >= 0:
            continue
        if abs(steps[place]) >= max(abs(steps[here]) / 2, 2 * abs(steps[beyond])):
            return True
    return False


def _along(direction: Sequence[int], one: Numbers, other: Numbers) -> int:
    """How far a picture goes to another in a direction."""
    return sum(part * (b - a) for part, a, b in zip(direction, one, other, strict=True))


def in_turn(seams: Sequence[Seam]) -> list[tuple[Seam, Seam]]:
    """The seams at both ends of each chunk that has two.

    Args:
        seams: In frame order.
    """
    return [(one, two) for one, two in pairwise(seams) if one.after is two.before]


def within(kind: PictureFault, piece: Piece, frame: int, message: str) -> PictureFinding:
    """A finding whose frame is compared with the one before it in the chunk."""
    frame = min(max(frame, piece.start_frame + 1), piece.end_frame - 1)
    return PictureFinding(
        kind=kind,
        chunk_id=piece.chunk_id,
        frame=frame,
        other_chunk_id=piece.chunk_id,
        other_frame=max(frame - 1, piece.start_frame),
        message=message,
    )
