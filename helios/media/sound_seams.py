"""Judge how the sound of chunks goes on where they meet. No I/O.

A film's sound may begin, end, or change anywhere. That it does so at both ends of one chunk, and at no other seam, is
suspicious.
"""

from collections.abc import Iterator, Sequence
from math import hypot, sqrt
from statistics import median

from helios.media.seams import Piece, Seam, in_turn
from helios.media.sounds import FULL_SCALE, unpack_samples
from helios.models.pictures import PictureFault, PictureFinding

BREAK, BREAK_LEAST = 4.5, 2.0
"""Sound breaks off at both ends of a chunk if the samples after are predicted worse than those beside, in the
geometric mean of both ends by the first factor, and at each end by the second."""
LOUD = 0.002
"""Of full scale (-54 dB): sound next to a silence that begins abruptly is so loud, at least."""
BESIDE = 64
"""Samples next to a seam in which that is heard."""
SILENT_SECONDS = 0.01
"""A silence at a seam is at least so long."""
ODD_SHARE, BREAK_SHARE = 3, 10
"""At most one chunk in so many is odd, and one other seam in so many breaks: else the film is made so."""


def judge_sounds(pieces: Sequence[Piece], seams: Sequence[Seam]) -> Iterator[PictureFinding]:
    """Find chunks whose sound is not that of the film.

    Args:
        pieces: All chunks that are known, in frame order.
        seams: All seams that are known, in frame order.
    """
    yield from _wrong_lengths(pieces)
    silent = [found for seam in seams if (found := _silence(seam))]
    yield from silent
    if not silent:
        yield from _odd_sounds(pieces, seams)


def _odd_sounds(pieces: Sequence[Piece], seams: Sequence[Seam]) -> Iterator[PictureFinding]:
    odd = [
        (one, two)
        for one, two in in_turn(seams)
        if min(one.sound_break, two.sound_break) >= BREAK_LEAST and one.sound_break * two.sound_break >= BREAK**2
    ]
    theirs = {id(seam) for pair in odd for seam in pair}
    others = sum(1 for seam in seams if id(seam) not in theirs and seam.sound_break >= BREAK)
    if len(odd) > max(1, len(pieces) // ODD_SHARE) or others > len(seams) // BREAK_SHARE:
        return
    for one, two in odd:
        chunk = one.after
        yield _finding(
            PictureFault.SOUND,
            one,
            f"the sound breaks off where chunk {chunk.chunk_id} begins (frame {chunk.start_frame}), and again where it "
            f"ends (frame {two.after.start_frame}), as nowhere else in the job",
        )


def _silence(seam: Seam) -> PictureFinding | None:
    before, after = seam.before.pictures.sound, seam.after.pictures.sound
    if before is None or after is None:
        return None
    least = SILENT_SECONDS * after.sample_rate
    begins = after.silent_first >= least and _loudness(unpack_samples(before.last)[-BESIDE:]) >= LOUD
    ends = before.silent_last >= least and _loudness(unpack_samples(after.first)[:BESIDE]) >= LOUD
    if begins == ends:
        return None
    piece, samples = (seam.after, after.silent_first) if begins else (seam.before, before.silent_last)
    where = "begins" if begins else "ends"
    message = (
        f"the sound of chunk {piece.chunk_id} {where} with {samples / after.sample_rate:.3f} s of silence (at frame "
        f"{seam.after.start_frame}), while the sound beside it goes on"
    )
    return _finding(PictureFault.SILENCE, seam, message, piece=piece)


def _wrong_lengths(pieces: Sequence[Piece]) -> Iterator[PictureFinding]:
    """Chunks whose sound is shorter or longer than that of others, by a frame or more."""
    known = [(piece, piece.pictures.sound) for piece in pieces if piece.pictures.sound is not None]
    if len(known) < 3:
        return
    per_frame = median(sound.samples / piece.frames for piece, sound in known)
    for piece, sound in known:
        difference = sound.samples - per_frame * piece.frames
        if per_frame and abs(difference) >= max(per_frame, 2):
            what = "longer" if difference > 0 else "shorter"
            yield PictureFinding(
                kind=PictureFault.SOUND_LENGTH,
                chunk_id=piece.chunk_id,
                frame=piece.end_frame - 1,
                other_chunk_id=piece.chunk_id,
                other_frame=piece.start_frame,
                message=f"the sound of chunk {piece.chunk_id} is {abs(difference) / sound.sample_rate:.3f} s {what} "
                "than its pictures, measured by the other chunks",
            )


def _finding(kind: PictureFault, seam: Seam, message: str, *, piece: Piece | None = None) -> PictureFinding:
    piece = piece or seam.after
    frames = (seam.before.end_frame - 1, seam.after.start_frame)
    own = frames[1] if piece is seam.after else frames[0]
    other = seam.before if piece is seam.after else seam.after
    return PictureFinding(
        kind=kind,
        chunk_id=piece.chunk_id,
        frame=own,
        other_chunk_id=other.chunk_id,
        other_frame=frames[0] if own == frames[1] else frames[1],
        message=message,
    )


def _loudness(samples: Sequence[int]) -> float:
    return hypot(*samples) / (FULL_SCALE * sqrt(max(len(samples), 1)))
