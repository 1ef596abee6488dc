"""Tell whether encoded pictures are those of the source, in their order, however good they are.

Each picture has a fingerprint of 8×8 means of brightness (`helios.media.fingerprints`), which encoders hardly change.
"""

from __future__ import annotations  # array.array is generic in its stubs alone

from array import array
from dataclasses import dataclass

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from helios.errors import OutputError
from helios.media.fingerprints import fingerprint
from helios.media.numbers import distance

OTHER = 24.0
"""Levels of 255. A picture that is so far from its source is another one. The frames of ten clips (`benchmarks.scenes`)
were up to 3.1 away at crf 30, and up to 12.4 at the worst quantisers of x264, x265, SVT-AV1 and VP9."""
MOVES = 0.5
"""Levels from a picture to the next, from which on it can be told which one is shown."""
NEARER = 0.5
"""A picture looks like a neighbour if it is at most this share as far from that as from its own source."""
SHARE = 0.5
"""Of the frames that move: if more of them look like the same neighbour, the chunk is shifted."""
FEW = 4
"""Frames that move, from which on a chunk is called shifted."""


@dataclass(frozen=True)
class Unlike:
    """Frames that look more like the picture before or after than like their own."""

    count: int = 0
    """How many."""
    first: int | None = None
    """The first one, counted in the chunk."""
    like: int | None = None
    """What that looks like, likewise."""


class Likeness:
    """Takes pairs of pictures.

    Args:
        name: Of what was encoded.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reformatter = VideoReformatter()
        self._sources: list[array[int]] = []
        self._encoded: list[array[int]] = []

    def add(self, reference: VideoFrame, encoded: VideoFrame) -> None:
        """Look at a picture and its encode."""
        self._sources.append(fingerprint(reference, self._reformatter))
        self._encoded.append(fingerprint(encoded, self._reformatter))

    def result(self) -> Unlike:
        """Which frames look like a neighbour.

        Raises:
            OutputError: So many do that the chunk begins at another frame; or one looks like none of its neighbours,
                nor like its own picture.
        """
        found = self._like_neighbour(1) | self._like_neighbour(-1)
        for number, (own, shown) in enumerate(zip(self._sources, self._encoded, strict=True)):
            if number not in found and (apart := distance(own, shown)) > OTHER:
                raise OutputError(
                    f"{self._name} shows another picture than its source at frame {number}: {apart:.0f} of 255 levels "
                    f"away; expected less than {OTHER:g}"
                )
        first = min(found, default=None)
        return Unlike(len(found), first, None if first is None else found[first])

    def _like_neighbour(self, step: int) -> dict[int, int]:
        """Frames that look like the one so many frames later, and that one."""
        found, moving = {}, 0
        for number, (own, shown) in enumerate(zip(self._sources, self._encoded, strict=True)):
            if not 0 <= (there := number + step) < len(self._sources):
                continue
            if distance(own, other := self._sources[there]) >= MOVES:
                moving += 1
                if distance(shown, other) <= NEARER * distance(shown, own):
                    found[number] = there
        if moving >= FEW and len(found) > SHARE * moving:
            raise OutputError(
                f"{self._name} is shifted: {len(found)} of its {moving} frames that move show the source's picture "
                f"{'before' if step < 0 else 'after'} their own; expected each to show its own"
            )
        return found
