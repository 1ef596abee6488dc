"""How long the next chunk is, of a job that is cut while it is rendered.

nothing timed yet      short chunks, of two lengths, spread over the job
then                   a chunk that takes the target, by what the nearest timed chunks took
towards the end        shorter ones, so that all slots end together
at a time limit        a chunk that hits it is cut in two; the others are kept below it
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from helios.models.cut_points import end_near
from tasks.schedule.profile import Profile

MOST_PLACES = 8
"""Places along the job at which the first chunks lie."""
FIRST_SHARE = 16
"""The first chunks of all slots together are this part of the job."""
FIRST_LENGTHS = (1, 3)
"""Their lengths, in turn: two lengths tell the start from the frames."""
SHARES = 1.6
"""A chunk is at most what each slot has left, over this."""
LEAST_WORK = 1.5
"""Towards the end, a chunk's frames take at least so many times its start."""
GROWTH = 6
"""A chunk has at most so many times the frames of the longest that was timed."""
REST = 1.2
"""A chunk takes the rest of its range with it that would be less than a fifth of it."""
OF_LIMIT = 0.75
"""A chunk is to take at most this part of a time limit."""
BEYOND_LIMIT = 1.5
"""What was stopped at a time limit counts as if it had taken so many times as long."""


class Why(StrEnum):
    """Why a chunk is as long as it is."""

    FIRST = "first"
    """Nothing was timed yet."""
    TARGET = "target"
    """It takes the target, or the most frames that a chunk may have."""
    LIMIT = "limit"
    """It stays below a time limit."""
    END = "end"
    """All slots are to end together."""
    HALF = "half"
    """It is a part of one that was stopped at a time limit."""
    KEPT = "kept"
    """It was cut by an earlier run."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A chunk that was cut."""

    id: int
    """Its id: chunks are numbered as they are cut."""
    start: int
    """First frame."""
    frames: int
    """Frames."""
    seconds: float | None = None
    """How long it is expected to take; None while nothing was timed."""
    why: Why = Why.KEPT
    """Why it is as long as it is."""

    @property
    def end(self) -> int:
        """One past the last frame."""
        return self.start + self.frames


@dataclass(frozen=True, slots=True)
class Wanted:
    """How long chunks are to be."""

    target_seconds: float
    """How long one takes, its start included."""
    shortest: int = 1
    """The fewest frames."""
    longest: int | None = None
    """The most frames."""
    cuts: Sequence[int] = ()
    """First frames of scenes, ascending."""
    limit_seconds: float | None = None
    """When a chunk is stopped, as far as that is known."""


class Cutter:
    """Cuts the frames of one job. Each method costs the same however many chunks there are, but for sorted lists.

    Args:
        first: The job's first frame.
        frames: Its frames.
        wanted: How long chunks are to be.
        slots: Chunks at a time.
        most: Ids are below this: there is no output for more chunks.
        kept: Chunks that are there.
    """

    def __init__(
        self, first: int, frames: int, *, wanted: Wanted, slots: int, most: int, kept: Sequence[Cut] = ()
    ) -> None:
        self._wanted = wanted
        self._slots = max(1, slots)
        self._limit = wanted.limit_seconds
        self.profile = Profile(first, frames)
        """What frames cost."""
        self._cuts = {cut.id: cut for cut in kept}
        self._ids = _free_ids(set(self._cuts), most)
        self._ids_left = most - len(self._cuts)
        self._uncut = rest_of(first, first + frames, kept)
        self._left: dict[int, int] = {}
        for start, end in self._uncut:
            self._count(start, end)
        self._first_length = max(wanted.shortest, frames // (FIRST_SHARE * self._slots))
        places = min(self._slots, MOST_PLACES)
        self._places = [first + frames * place // places for place in range(places)]
        self._firsts = 0

    @property
    def ids(self) -> Set[int]:
        """The ids of all chunks but those that were cut in two."""
        return self._cuts.keys()

    @property
    def has_uncut(self) -> bool:
        """Whether frames are left to cut."""
        return bool(self._uncut)

    def cut(self) -> Cut:
        """Cut the next chunk; there are frames left."""
        if self.profile.is_known:
            start, end = self._uncut[0]
            frames, why = self._frames(start, end)
            if not self.profile.knows_start and frames <= self._wanted.shortest:
                # Else all chunks were of one length, which never tells a start that takes longer than the target.
                frames, self._firsts = self._wanted.shortest * self._first_factor, self._firsts + 1
        else:
            start, end, frames = self._first()
            why = Why.FIRST
        return self._take(start, start + self._fit(start, frames, end), end, why)

    def _first(self) -> tuple[int, int, int]:
        """The range, and the wanted length, of a chunk that is cut before any was timed."""
        number, self._firsts = self._firsts, self._firsts + 1
        turn, place = divmod(number, len(self._places))
        length = self._first_length * FIRST_LENGTHS[(turn + place) % len(FIRST_LENGTHS)]
        wanted = self._places[place]
        for start, end in reversed(self._uncut):
            if start <= wanted and end - wanted > self._wanted.shortest:
                wanted = wanted if wanted == start or wanted - start >= self._wanted.shortest else start
                return wanted, end, length
        start, end = next((one for one in self._uncut if one[0] >= wanted), self._uncut[0])
        return start, end, length

    @property
    def _first_factor(self) -> int:
        return FIRST_LENGTHS[self._firsts % len(FIRST_LENGTHS)]

    def _frames(self, start: int, end: int) -> tuple[int, Why]:
        """How many frames from `start` on a chunk is to have by what is known, and why."""
        profile, wanted = self.profile, self._wanted
        begins = profile.start_seconds
        least, share = LEAST_WORK * begins, self.left_seconds / (SHARES * self._slots)
        work, why = max(wanted.target_seconds - begins, least), Why.TARGET
        if self._limit is not None and OF_LIMIT * self._limit < wanted.target_seconds:
            work, why = max(OF_LIMIT * self._limit - begins, begins / 10), Why.LIMIT
        if max(share, least) < work:
            work, why = max(share, least), Why.END
        most = min(end - start, GROWTH * max(profile.longest, wanted.shortest))
        return profile.frames_for(start, work, most=most), why

    @property
    def left_seconds(self) -> float:
        """What the frames take that are not cut yet, starts not counted."""
        return sum(frames * self.profile.rate(place) for place, frames in self._left.items())

    def _fit(self, start: int, frames: int, end: int) -> int:
        """A length near the wanted one: within the bounds, up to a cut that is near, with no rest that is too short."""
        wanted, room = self._wanted, end - start
        least = max(wanted.shortest, -(-sum(self._left.values()) // max(self._ids_left, 1)))
        if room < least + wanted.shortest or self._ids_left <= len(self._uncut):
            return room
        if room <= min(REST * frames, wanted.longest or room):
            return room
        most = max(min(wanted.longest or room, room - wanted.shortest), least)
        return end_near(wanted.cuts, start=start, wanted=start + frames, least=start + least, most=start + most) - start

    def _take(self, start: int, until: int, end: int, why: Why) -> Cut:
        begin = next(begin for begin, stop in self._uncut if stop == end)
        self._uncut.remove((begin, end))
        for rest in ((begin, start), (until, end)):
            if rest[0] < rest[1]:
                insort(self._uncut, rest)
        self._count(start, until, sign=-1)
        return self._add(start, until - start, why)

    def _add(self, start: int, frames: int, why: Why) -> Cut:
        seconds = self.profile.seconds(start, frames) if self.profile.is_known else None
        cut = Cut(next(self._ids), start, frames, seconds, why)
        self._ids_left -= 1
        self._cuts[cut.id] = cut
        return cut

    def _count(self, start: int, end: int, *, sign: int = 1) -> None:
        """Add frames to those that are left at each place, or take them away."""
        while start < end:
            place = self.profile.bin_of(start)
            until = min(end, self.profile.end_of(place))
            self._left[place] = self._left.get(place, 0) + sign * (until - start)
            start = until

    def note(self, chunk_id: int, seconds: float) -> None:
        """Count an attempt of a chunk that was accepted."""
        cut = self._cuts[chunk_id]
        self.profile.note(cut.start, cut.frames, seconds)

    def expected(self, chunk_id: int) -> float:
        """How long a chunk takes, by what is known now; something was timed."""
        cut = self._cuts[chunk_id]
        return self.profile.seconds(cut.start, cut.frames)

    def split(self, chunk_id: int, seconds: float) -> tuple[Cut, Cut] | None:
        """Cut a chunk in two that was stopped at a time limit.

        Args:
            chunk_id: The chunk; there is none of this id any more.
            seconds: How long it ran.

        Returns:
            Its parts; None where it is too short for two.
        """
        cut, least = self._cuts[chunk_id], self._wanted.shortest
        if cut.frames < 2 * least or self._ids_left < 2 + len(self._uncut):
            return None
        self._limit = min(self._limit or seconds, seconds)
        self.profile.note(cut.start, cut.frames, BEYOND_LIMIT * seconds)
        half = (self.profile.seconds(cut.start, cut.frames) - self.profile.start_seconds) / 2
        middle = cut.start + self.profile.frames_for(cut.start, half, most=cut.frames)
        middle = end_near(self._wanted.cuts, start=cut.start, wanted=middle, least=cut.start + least,
                          most=cut.end - least)  # fmt: skip
        del self._cuts[chunk_id]
        return self._add(cut.start, middle - cut.start, Why.HALF), self._add(middle, cut.end - middle, Why.HALF)


def _free_ids(taken: set[int], most: int) -> Iterator[int]:
    return (number for number in range(most) if number not in taken)


def rest_of(first: int, end: int, kept: Iterable[Cut]) -> list[tuple[int, int]]:
    """The ranges of a job between the chunks that are there, in order: first frame, and one past the last."""
    rest, frame = [], first
    for cut in sorted(kept, key=lambda one: one.start):
        if cut.start > frame:
            rest.append((frame, cut.start))
        frame = cut.end
    return [*rest, (frame, end)] if frame < end else rest
