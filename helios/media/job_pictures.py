"""The pictures of a whole job, judged as its chunks are accepted. No I/O; what is kept of a chunk is bounded."""

from collections.abc import Iterator

from helios.media.outliers import judge_outliers
from helios.media.pictures import FirstFrames, UsualShifts, judge_jump, judge_repeat, judge_restart
from helios.media.pictures_inside import judge_inside
from helios.media.seams import Piece, Seam, measure
from helios.media.sound_seams import judge_sounds
from helios.models.pictures import PictureFault, PictureFinding

AGAIN_SHARE = 3
"""At most one chunk in so many is suspected of showing an earlier one again."""


class JobPictures:
    """Takes accepted chunks in any order, and judges what is known once both of two chunks are there."""

    def __init__(self) -> None:
        self._by_start: dict[int, Piece] = {}
        self._by_end: dict[int, Piece] = {}
        self._first_frames = FirstFrames()
        self._suspected: dict[int, PictureFinding] = {}
        self._measured: dict[int, Seam] = {}
        self._again: dict[int, PictureFinding] = {}
        """By its first frame, each chunk that may show an earlier one again."""
        self._said: tuple[PictureFinding, ...] | None = None
        self.failures: list[PictureFinding] = []
        """What failed a chunk, in the order found."""

    def add(self, piece: Piece) -> PictureFinding | None:
        """Take an accepted chunk.

        Returns:
            What is certainly wrong now, if anything is; the chunk that it names is to be removed and rendered again.
        """
        self._by_start[piece.start_frame] = self._by_end[piece.end_frame] = piece
        self._first_frames.add(piece)
        self._said = None
        for before, after in self._seams(piece):
            self._measured[after.start_frame] = measure(before, after)
            if suspicion := judge_repeat(before, after) or judge_jump(before, after):
                self._suspected[after.start_frame] = suspicion
        found = next(self._certain(piece), None)
        if found is not None:
            self.failures.append(found)
        return found

    def remove(self, chunk_id: int) -> None:
        """Forget a chunk that is rendered again."""
        piece = next((piece for piece in self._by_start.values() if piece.chunk_id == chunk_id), None)
        if piece is None:
            return
        del self._by_start[piece.start_frame], self._by_end[piece.end_frame]
        self._first_frames.remove(piece)
        for frame in (piece.start_frame, piece.end_frame):
            self._suspected.pop(frame, None)
            self._measured.pop(frame, None)
            self._again.pop(frame, None)
        self._again = {frame: again for frame, again in self._again.items() if again.other_chunk_id != chunk_id}
        self._said = None

    def warnings(self) -> tuple[PictureFinding, ...]:
        """What is suspicious, in frame order."""
        if self._said is None:
            self._said = self._judge()
        return self._said

    def _judge(self) -> tuple[PictureFinding, ...]:
        pieces = [self._by_start[frame] for frame in sorted(self._by_start)]
        seams = [self._measured[frame] for frame in sorted(self._measured)]
        usual = UsualShifts(seams)
        at_seams = [
            finding
            for frame, finding in self._suspected.items()
            if not finding.is_certain and not usual.have(finding, self._measured[frame])
        ]
        # If many chunks repeat others, the film does.
        again = self._again.values() if len(self._again) <= max(1, len(pieces) // AGAIN_SHARE) else ()
        named = [*at_seams, *again, *judge_inside(pieces), *judge_sounds(pieces, seams)]
        # What changes at a seam without a better name needs no second warning where another was found.
        places = {finding.frame for finding in named}
        others = [
            finding
            for finding in judge_outliers(pieces, seams)
            if finding.kind not in (PictureFault.FOREIGN, PictureFault.PART) or finding.frame not in places
        ]
        return tuple(sorted((*named, *others), key=lambda finding: finding.frame))

    def _seams(self, piece: Piece) -> Iterator[tuple[Piece, Piece]]:
        """The seams of a chunk whose other side is known."""
        if before := self._by_end.get(piece.start_frame):
            yield before, piece
        if after := self._by_start.get(piece.end_frame):
            yield piece, after

    def _certain(self, piece: Piece) -> Iterator[PictureFinding]:
        for _, after in self._seams(piece):
            if (repeat := self._suspected.get(after.start_frame)) and repeat.is_certain:
                yield repeat
            # A chunk can only be called a restart once the chunk before it is known.
            for other in self._first_frames.like(after):
                yield from self._restart(after, other)
        if piece.start_frame not in self._by_end:
            for other in self._first_frames.like(piece):
                yield from self._restart(piece, other)

    def _restart(self, one: Piece, other: Piece) -> Iterator[PictureFinding]:
        """The later of two chunks that begin alike, if it shows the frames of the earlier one again."""
        earlier, later = sorted((one, other), key=lambda piece: piece.start_frame)
        before = self._by_end.get(later.start_frame)
        restart = judge_restart(before, later, earlier) if before is not None else None
        if restart is not None and restart.is_certain:
            yield restart
        elif restart is not None:
            self._again[later.start_frame] = restart
