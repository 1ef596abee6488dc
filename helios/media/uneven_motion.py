"""Judge whether motion is uneven in one chunk alone: frames that are missing, doubled or exchanged. No I/O."""

from collections.abc import Sequence
from statistics import median

from helios.media.seams import Event, Piece, Seam, in_turn, within
from helios.models.pictures import PictureFault, PictureFinding, Uneven

RARE_FRAMES = 200
"""Motion is steady if it is uneven at most once in so many frames elsewhere."""
FEW = 3
"""More places of uneven motion in one chunk are its content."""
KEY_FRAMES = 1.3
"""A step at a seam is a double if it is this many times that at other seams: encoders make key frames better."""
EVEN_FACTOR = 1.7
"""The third largest step of a chunk that moves evenly is this many times the usual one at most."""


def judge_stutter(pieces: Sequence[Piece], seams: Sequence[Seam]) -> PictureFinding | None:
    """The only chunk in which frames are missing, doubled or exchanged."""
    total = sum((piece.pictures.uneven or Uneven()).loose for piece in pieces) + sum(len(seam.loose) for seam in seams)
    if not total:
        return None
    before = {id(seam.after): seam for seam in seams}
    after = {id(seam.before): seam for seam in seams}
    places = [_Uneven(piece, before.get(id(piece)), after.get(id(piece))) for piece in pieces]
    most = max(places, key=lambda place: place.loose)
    if total - most.loose > sum(piece.frames for piece in pieces) // RARE_FRAMES:
        return None
    even = sum(map(_is_even, pieces))
    if most.is_stutter or (most.is_one_dip and _is_even(most.piece) and 3 * even >= 2 * len(pieces)):
        piece = most.piece
        frame = piece.start_frame + most.frame
        message = (
            f"motion is uneven in chunk {piece.chunk_id} (frame {frame}), as in no other chunk: a frame is missing, "
            "doubled, or in another's place"
        )
        return within(PictureFault.STUTTER, piece, frame, message)
    return most.repeat()


def judge_shift(seams: Sequence[Seam]) -> PictureFinding | None:
    """The only chunk that is a frame early or late: motion pauses at its one end, and catches up at the other.

    Args:
        seams: All seams that are known, in frame order.
    """
    shifted = []
    for one, two in in_turn(seams):
        if not any(kind in ("dips", "doubles") for kind, _ in (*one.events, *two.events)):
            continue  # nowhere is motion around steady
        is_early = {("dips", 0), ("dips", 1)} & set(one.loose) and ("doubles", 0) in two.loose
        is_late = ("doubles", 0) in one.loose and ("dips", 0) in two.loose
        others = [seam.step for seam in seams if seam is not one and seam is not two]
        doubled = two if is_early else one
        if (is_early or is_late) and (not others or doubled.step >= KEY_FRAMES * median(others)):
            shifted.append(one)
    if len(shifted) != 1:
        return None
    before, chunk = shifted[0].before, shifted[0].after
    return PictureFinding(
        kind=PictureFault.STUTTER,
        chunk_id=chunk.chunk_id,
        frame=chunk.start_frame,
        other_chunk_id=before.chunk_id,
        other_frame=chunk.start_frame - 1,
        message=(
            f"chunk {chunk.chunk_id} seems to be a frame early or late: motion pauses where it begins or ends (frames "
            f"{chunk.start_frame} and {chunk.end_frame}), and goes on by two steps at its other end"
        ),
    )


class _Uneven:
    """Where motion is not even in a chunk and at its ends."""

    def __init__(self, piece: Piece, before: Seam | None, after: Seam | None) -> None:
        uneven = piece.pictures.uneven or Uneven()
        self.piece, self._seams = piece, [seam for seam in (before, after) if seam is not None]
        clear = [*_own(before, piece, clear=True), *_own(after, piece, clear=True)]
        loose = [*_own(before, piece, clear=False), *_own(after, piece, clear=False)]
        self.loose = uneven.loose + len(loose)
        kinds = [kind for kind, _ in clear]
        self._dips, self._doubles, self._turns = (
            getattr(uneven, kind) + kinds.count(kind) for kind in ("dips", "doubles", "turns")
        )
        self.frame = uneven.frame or min((frame for _, frame in clear), default=0)

    @property
    def is_stutter(self) -> bool:
        """Whether a frame is missing and another doubled, or two are exchanged."""
        return self.loose <= FEW and bool((self._dips and self._doubles) or self._turns)

    @property
    def is_one_dip(self) -> bool:
        """Whether just one frame is doubled."""
        return bool(self._dips == self.loose == 1)

    def repeat(self) -> PictureFinding | None:
        """The seam at which the last frame of the chunk before seems to be repeated."""
        for seam in self._seams:
            if ("dips", 0) in seam.loose and self.loose <= FEW:
                return PictureFinding(
                    kind=PictureFault.REPEAT,
                    chunk_id=seam.after.chunk_id,
                    frame=seam.after.start_frame,
                    other_chunk_id=seam.before.chunk_id,
                    other_frame=seam.after.start_frame - 1,
                    message=(
                        f"chunk {seam.after.chunk_id} seems to begin with the last frame of chunk "
                        f"{seam.before.chunk_id}: frame {seam.after.start_frame} differs from the frame before by "
                        f"{seam.step:.2f} of 255 levels, while the frames around move on"
                    ),
                )
        return None


def _own(seam: Seam | None, piece: Piece, *, clear: bool) -> list[Event]:
    """What belongs to a chunk of what is uneven at a seam: its own frames, and the first after the seam."""
    if seam is None:
        return []
    events = seam.events if clear else seam.loose
    # The last frames before a key frame are often worse than others: what is found in them is not clear.
    least = 0 if clear else -1
    return [(kind, frame) for kind, frame in events if (frame >= 0 if seam.after is piece else least <= frame <= 0)]


def _is_even(piece: Piece) -> bool:
    """Whether a chunk moves evenly, but for two frames."""
    steps = piece.pictures.steps
    return steps is None or steps.third is None or steps.usual is None or steps.third <= EVEN_FACTOR * steps.usual
