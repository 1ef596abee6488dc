"""What was found in a source, or in a piece of it, as numbers: it can be kept, sent, and put together."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from helios.encode.scenes import cuts_of
from helios.errors import RequestError

MISSING_SECONDS = 2.0
"""By so much a file may end before the end that it states."""


@dataclass(frozen=True)
class Found:
    """What a look at a source, or at a piece of it, has found."""

    times: tuple[int, ...]
    """Time stamps of pictures, in ticks, in the order in which they were seen."""
    keys: frozenset[int]
    """Those of key frames."""
    durations: Mapping[int, int]
    """Ticks for which a picture is shown, by its time stamp, as its packet says; 0 where it does not."""
    file_end: Fraction
    """Where the last packet of all tracks ends, in seconds."""
    changes: tuple[float, ...] | None
    """For each picture how much it differs from the one before; None where scenes were not looked for. A piece has one
    more: that of the next piece's first picture."""
    has_packets_without_pictures: bool = False
    """Whether packets can't be counted for pictures."""

    def with_pieces(self, pieces: Iterable["Found"]) -> "Found":
        """What this piece and those after it found together; each has looked at the first picture of the next."""
        pieces = [self, *pieces]
        durations: dict[int, int] = {}
        for piece in pieces:
            durations.update(piece.durations)
        changes = None
        if self.changes is not None:
            changes = (*self.changes, *(one for piece in pieces[1:] for one in (piece.changes or ())[1:]))
        return replace(
            self,
            times=tuple(time for piece in pieces for time in piece.times),
            keys=frozenset().union(*(piece.keys for piece in pieces)),
            durations=durations,
            file_end=max(piece.file_end for piece in pieces),
            changes=changes,
        )

    @property
    def has_a_picture_for_each_packet(self) -> bool:
        """Whether nothing was lost or found twice, as far as packets tell."""
        return self.has_packets_without_pictures or sorted(self.times) == sorted(self.durations)

    def refuse_truncated(self, name: str, stated_end: Fraction | None) -> None:
        """Refuse a file whose packets end before the end that it states.

        Args:
            name: The file's, for the message.
            stated_end: In seconds; None where it states none.

        Raises:
            RequestError: Says where it ends.
        """
        if not self.times:
            raise RequestError(f"{name} has no picture that can be decoded; expected a video")
        if stated_end is not None and stated_end - self.file_end > MISSING_SECONDS:
            raise RequestError(
                f"{name} ends at {float(self.file_end):.1f} s, and says that it goes on to {float(stated_end):.1f} s: "
                "it is truncated; expected a whole file"
            )

    def in_order(self, name: str) -> tuple[int, ...]:
        """The pictures' time stamps, in the order shown.

        Args:
            name: The file's, for the message.

        Raises:
            RequestError: Two have the same.
        """
        times = sorted(self.times)
        if len(set(times)) != len(times):
            raise RequestError(
                f"{name} has two pictures with the same time stamp; expected one time for each: write it into .mkv "
                "with new ones first"
            )
        return tuple(times)

    def length_of_last(self, times: tuple[int, ...], *, tick: Fraction) -> int:
        """Ticks for which the last picture is shown; at least 1.

        Args:
            times: As of `in_order`.
            tick: Seconds.
        """
        shown = self.durations.get(times[-1])
        return max(shown or (times[-1] - times[-2] if len(times) > 1 else round(1 / tick / 25)), 1)

    @property
    def scenes(self) -> tuple[int, ...] | None:
        """Numbers of the first pictures of scenes; None where they were not looked for."""
        return None if self.changes is None else tuple(cuts_of(self.changes))

    def to_json(self) -> str:
        """Everything, as text; `from_json` is the inverse."""
        return json.dumps({
            "times": self.times, "keys": sorted(self.keys), "durations": list(self.durations.items()),
            "fileEnd": str(self.file_end), "changes": self.changes, "uneven": self.has_packets_without_pictures,
        }, separators=(",", ":"))  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError: It is none.
        """
        fields = json.loads(text)
        return cls(
            times=tuple(fields["times"]), keys=frozenset(fields["keys"]), durations=dict(fields["durations"]),
            file_end=Fraction(fields["fileEnd"]),
            changes=None if fields["changes"] is None else tuple(fields["changes"]),
            has_packets_without_pictures=fields["uneven"],
        )  # fmt: skip
