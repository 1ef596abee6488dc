"""Judge chunks that go on neither from the chunk before nor to the chunk after, wholly or in a part. No I/O.

A font that one worker lacks, an image that it did not load, another gamma, a strip that lags, another job's file: at
both ends of the chunk the picture changes as nowhere else in the job. All of it is only suspicious.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from helios.media.motion import BANDS
from helios.media.numbers import GRID, LEVEL, LUMA, change_of
from helios.media.seams import Piece, Seam, in_turn
from helios.models.pictures import PictureFault, PictureFinding

ROUGH_LEAST = 1.6
"""Levels. A seam that is less rough is none that anyone sees."""
ROUGH_FACTOR = 2.0
"""A seam is rough if it is this many times as rough as the roughest place inside chunks. Good seams had up to 1.5."""
ROUGH_FLOOR = 0.15
"""Levels. Inside still chunks it counts as so rough."""
BOTH_EACH, BOTH_MEAN, BOTH_FLOOR = 1.4, 1.9, 1.0
"""… or both seams of a chunk are rougher by the first factor, and by the second in their geometric mean, than the
roughest place inside chunks, this many levels, and …, in two rows beside each other"""
BREAK_FACTOR, BREAK_NOISE = 1.5, 2.5
"""… or both seams jump by the first factor of the steps beside them, and by the second of what other seams do."""
TINT_LEAST, TINT_FACTOR, TINT_ALIKE = (1.0, 1.5), 2.5, 2.0
"""… or brightness, or colour, jumps by so many levels at the one seam and back at the other, so many times what it
changes from frame to frame beside these, and at most other seams; the two are alike but for the last factor."""
BESIDE = 0.25
"""A change at a seam is at least this share of the steps beside it: of a shot of few frames before a cut, encoders make
so little that its first frame is worse by 0.11 of the cut."""
ALIKE = 8.0
"""The changes at both ends of a chunk are alike but for this factor. A dimmed chunk had 5.4, between a dark scene and a
bright one; a scene that begins at a cut, and shakes where the chunk ends, 9 to 16."""
DAMAGE_FACTOR = 0.5
"""What changes back at a chunk's end does so by this factor of the steps beside it, at least: fades change more."""
WHOLE_SHARE = 0.6
"""Encoding changes rows of blocks by chance: one that it changes little at one seam may be changed by so much of what
it changes in the whole picture at the next (1.0 was measured)."""
ROWS = frozenset(range(GRID))
NOTHING = (0.0,) * BANDS
NOISE_MOST = 2.5
"""… and this many times what a third of the seams have at most."""
MANY = 20
"""Of more seams two make no difference."""
NOISE_FACTOR = 1.3
"""… this many times the median of the other seams: the first frames of chunks are encoded otherwise than the last."""
BACK_FACTOR, BACK_COSINE = 8.0, -0.8
"""What changes at one end of a chunk and changes back at the other needs this factor of what is usual alone."""
WHOLE_BANDS = 6
"""Rows of blocks, of eight, that change where a chunk is another picture as a whole."""
CUT_BANDS = 6
"""Bands, of ten, that change at a cut."""
ODD_SHARE = 3
"""At most one chunk in so many is odd; if more are, the film is made so."""
CUT_SHARE = 5
"""Likewise of other seams: at most one in so many is a cut."""


def judge_odd_chunks(pieces: Sequence[Piece], seams: Sequence[Seam]) -> Iterator[PictureFinding]:
    """Chunks that go on neither from the chunk before nor to the chunk after."""
    scale = Scale(pieces, seams)
    rough = {id(seam): scale.rough_bands(seam) for seam in seams}
    breaks, odd = Breaks(seams), []
    for one, two in in_turn(seams):
        common = rough[id(one)] & rough[id(two)]
        if not common:
            common = scale.both_bands(one, two)
        if not common and cosine(one.rough, two.rough) <= BACK_COSINE:
            common = scale.unusual_bands(one) & scale.unusual_bands(two)
        if not common:
            common = breaks.common(one, two)
        if any(_is_alike(one.bands[band], two.bands[band]) for band in common & ROWS or common):
            odd.append((one, two, common))
    theirs = {id(seam) for one, two, _ in odd for seam in (one, two)}
    cuts = sum(1 for seam in seams if id(seam) not in theirs and scale.is_cut(seam))
    if len(odd) > max(1, len(pieces) // ODD_SHARE) or cuts > len(seams) // CUT_SHARE:
        return
    for one, two, common in odd:
        chunk = one.after
        is_whole = sum(band < GRID for band in common) >= WHOLE_BANDS
        what = "the picture changes" if is_whole else "a part of the picture changes"
        yield PictureFinding(
            kind=PictureFault.FOREIGN if is_whole else PictureFault.PART,
            chunk_id=chunk.chunk_id,
            frame=chunk.start_frame,
            other_chunk_id=one.before.chunk_id,
            other_frame=chunk.start_frame - 1,
            message=(
                f"{what} suddenly where chunk {chunk.chunk_id} begins (frame {chunk.start_frame}), and again where it "
                f"ends (frame {two.after.start_frame}), as nowhere else in the job"
            ),
        )


class Scale:
    """How rough a job's chunks are inside."""

    def __init__(self, pieces: Sequence[Piece], seams: Sequence[Seam]) -> None:
        bands = [seam.bands for seam in seams if seam.bands]
        self._seams = [seam for seam in seams if seam.bands]
        self._usual_noise = _medians(bands)
        low = (len(bands) - 1) // 3
        lowest = [sorted(values)[low] for values in zip(*bands, strict=True)]
        self._noise = _with_whole(lowest) if lowest else NOTHING
        known = [piece.pictures.rough for piece in pieces if piece.pictures.rough is not None]
        self._median = [median(each.bands[band] for each in known) if known else 0.0 for band in range(BANDS)]
        self._usual = [median(each.usual[band] for each in known) if known else 0.0 for band in range(BANDS)]

    def rough_bands(self, seam: Seam) -> set[int]:
        """The bands in which a seam is rougher than the inside of chunks."""
        return self._above(seam, ROUGH_FACTOR, self._median, own=_least_bands(seam), noise=self._noise)

    def unusual_bands(self, seam: Seam) -> set[int]:
        """The bands in which a seam is rougher than is usual inside chunks."""
        return self._above(seam, BACK_FACTOR, self._usual, own=_least_usual(seam), noise=self._noise)

    def both_bands(self, one: Seam, two: Seam) -> set[int]:
        """The bands in which two seams are rougher than the inside of chunks, and than most other seams."""
        noise = self._noise_beside(one, two)
        if not noise or not one.bands or not two.bands or one.is_blink or two.is_blink:
            return set()
        found = set()
        for band in range(BANDS):
            least = max(self._median[band], NOISE_FACTOR * noise[band], BOTH_FLOOR)
            ratios = [
                seam.bands[band] / max(least, own[band])
                for seam, own in ((one, _least_bands(one)), (two, _least_bands(two)))
                if own
            ]
            if len(ratios) == 2 and min(ratios) >= BOTH_EACH and ratios[0] * ratios[1] >= BOTH_MEAN**2:
                found.add(band)
        return {band for band in found if band < GRID and found & ({band - 1, band + 1} - {GRID})}

    def _noise_beside(self, one: Seam, two: Seam) -> Sequence[float]:
        """How rough seams are in the middle; of few, those of a chunk itself are left out."""
        if len(self._seams) > MANY:
            return self._usual_noise
        return _with_whole(_medians([seam.bands for seam in self._seams if seam is not one and seam is not two]))

    def is_cut(self, seam: Seam) -> bool:
        """Whether a seam is rougher than the inside of one of its chunks."""
        return self.changed(seam) >= CUT_BANDS

    def changed(self, seam: Seam) -> int:
        """The number of bands in which a seam is rougher than the inside of one of its chunks."""
        return len(self._above(seam, ROUGH_FACTOR, NOTHING, own=_least_bands(seam), noise=NOTHING))

    @staticmethod
    def _above(
        seam: Seam, factor: float, least: Sequence[float], *, own: Sequence[float], noise: Sequence[float]
    ) -> set[int]:
        if not seam.bands or not own or seam.is_blink:
            return set()
        return {
            band
            for band, size in enumerate(seam.bands)
            if size >= max(ROUGH_LEAST, factor * max(least[band], own[band], ROUGH_FLOOR), NOISE_MOST * noise[band])
            and size >= BESIDE * seam.around[band]
        }


class Breaks:
    """Where a job's pictures break at seams: by how much more than from frame to frame beside these."""

    def __init__(self, seams: Sequence[Seam]) -> None:
        self._seams = [seam for seam in seams if seam.bands]
        self._own = {id(seam): self._bands(seam) for seam in self._seams}
        self._all = sum(map(bool, self._own.values()))

    def common(self, one: Seam, two: Seam) -> set[int]:
        """The bands in which both of two seams break, where other seams do not."""
        if self._all - sum(bool(self._own.get(id(seam))) for seam in (one, two)) > len(self._seams) // CUT_SHARE:
            return set()
        others = [seam for seam in self._seams if seam is not one and seam is not two]
        if any(_is_tinted(plane, one, two, others) for plane in (0, 1)):
            return set(range(GRID))
        common = self._own.get(id(one), set()) & self._own.get(id(two), set())
        noise = _with_whole(_medians([seam.bands for seam in others])) if others else NOTHING
        return {band for band in common if min(one.bands[band], two.bands[band]) >= BREAK_NOISE * noise[band]}

    @staticmethod
    def _bands(seam: Seam) -> set[int]:
        inside = _least_usual(seam) or NOTHING  # without the places where a chunk has cuts or flashes
        return {
            band
            for band, (size, around) in enumerate(zip(seam.bands, seam.around, strict=True))
            if size >= max(ROUGH_LEAST, BREAK_FACTOR * around, BREAK_FACTOR * inside[band])
        }


def _is_alike(begin: float, end: float) -> bool:
    return max(begin, end) <= ALIKE * min(begin, end)


def _is_tinted(plane: int, one: Seam, two: Seam, others: Sequence[Seam]) -> bool:
    """Whether brightness or colour jumps at one seam, and back at the other, and not so at others."""
    begin, end = _shift(plane, one), _shift(plane, two)
    small, large = sorted((abs(begin), abs(end)))
    usual = median(abs(_shift(plane, seam)) for seam in others) if others else 0.0
    around = max(one.shifts_around[plane], two.shifts_around[plane])
    return (
        begin * end < 0 and large <= TINT_ALIKE * small
        and small >= max(TINT_LEAST[plane], TINT_FACTOR * around, TINT_FACTOR * usual)
    )  # fmt: skip


def _shift(plane: int, seam: Seam) -> float:
    return (seam.shift, seam.colour_shift)[plane]


def _with_whole(noise: list[float]) -> list[float]:
    """The noise of each band, that of a row no smaller than a share of that of the whole picture."""
    return [max(size, WHOLE_SHARE * noise[GRID]) if band < GRID else size for band, size in enumerate(noise)]


def _medians(bands: Sequence[Sequence[float]]) -> list[float]:
    return [median(values) for values in zip(*bands, strict=True)]


def _least_bands(seam: Seam) -> list[float]:
    one, two = seam.before.pictures.rough, seam.after.pictures.rough
    return [min(pair) for pair in zip(one.bands, two.bands, strict=True)] if one and two else []


def _least_usual(seam: Seam) -> list[float]:
    one, two = seam.before.pictures.rough, seam.after.pictures.rough
    return [min(pair) for pair in zip(one.usual, two.usual, strict=True)] if one and two else []


def judge_damage(pieces: Sequence[Piece], seams: Sequence[Seam]) -> list[PictureFinding]:
    """Chunks of which a part changes suddenly inside, and changes back at their end."""
    scale, found = Scale(pieces, seams), []
    for seam in seams:
        piece, rough = seam.before, seam.before.pictures.rough
        if rough is None or not any(
            seam.bands[band] >= DAMAGE_FACTOR * seam.around[band] for band in scale.unusual_bands(seam)
        ):
            continue
        change = change_of(rough.change)
        if _is_spark(piece, max(map(abs, change[:LUMA]))):
            continue
        if cosine(change, seam.rough) > BACK_COSINE:
            continue
        found.append(PictureFinding(
            kind=PictureFault.PART,
            chunk_id=piece.chunk_id,
            frame=piece.start_frame + rough.frame,
            other_chunk_id=piece.chunk_id,
            other_frame=piece.start_frame + rough.frame - 1,
            message=(
                f"a part of the picture changes suddenly in chunk {piece.chunk_id} (frame "
                f"{piece.start_frame + rough.frame}), and changes back where the chunk ends (frame {piece.end_frame})"
            ),
        ))  # fmt: skip
    return found if len(found) == 1 else []


def _is_spark(piece: Piece, most: int) -> bool:
    """Whether the most sudden change of a chunk goes back a frame later."""
    spark, rough = piece.pictures.spark, piece.pictures.rough
    if spark is None or rough is None or rough.frame - spark.frame not in (0, 1):
        return False
    return (spark.height - spark.gap) * LEVEL >= most / 3


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two changes; 0 where one is none."""
    squares = sum(value * value for value in one) * sum(value * value for value in other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / squares**0.5 if squares else 0.0
