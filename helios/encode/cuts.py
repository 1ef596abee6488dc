"""Where a video is cut into chunks: at given pictures, as far as the chunks' bounds allow."""

from collections.abc import Iterable
from dataclasses import dataclass

from helios.errors import RequestError
from helios.models.frame_numbers import MAX_CHUNKS


@dataclass(frozen=True)
class Lengths:
    """Bounds of a chunk, in frames."""

    shortest: int
    """At least 1; the whole video may be shorter."""
    longest: int
    """At least twice the shortest: a chunk that is cut in two has parts that are long enough."""

    def __post_init__(self) -> None:
        if self.shortest < 1 or self.longest < 2 * self.shortest:
            raise RequestError(
                f"Chunks of {self.shortest} to {self.longest} frames; expected at least 1 frame, and a longest chunk "
                "of at least twice the shortest (--shortest, --longest)"
            )


def bounded_cuts(cuts: Iterable[int], *, frames: int, lengths: Lengths) -> list[int]:
    """Lengths of the chunks, in frames.

    A cut that would make a chunk too short is left out; a chunk that is too long is cut evenly.

    Args:
        cuts: First frames of scenes, in ascending order.
        frames: Of the whole video.
        lengths: Bounds of a chunk.

    Raises:
        RequestError: There would be too many chunks.
    """
    kept = [0]
    for cut in cuts:
        if cut - kept[-1] >= lengths.shortest and frames - cut >= lengths.shortest:
            kept.append(cut)
    sizes: list[int] = []
    for start, end in zip(kept, [*kept[1:], frames], strict=True):
        sizes += _evenly(end - start, longest=lengths.longest)
    if len(sizes) > MAX_CHUNKS:
        raise RequestError(f"{len(sizes)} chunks; expected at most {MAX_CHUNKS}: make them longer (--longest)")
    return sizes


def _evenly(frames: int, *, longest: int) -> list[int]:
    parts = -(-frames // longest)
    size, longer = divmod(frames, parts)
    return [size + 1] * longer + [size] * (parts - longer)
