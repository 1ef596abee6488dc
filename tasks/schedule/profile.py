"""What the frames of a job cost, from the chunks that were timed: seconds to start, and seconds a frame by place."""

from bisect import bisect_left, insort
from collections import deque
from statistics import median

BINS = 128
"""Places along the job whose seconds a frame are told apart."""
UNLIKE = 1.5
"""Two neighbours whose lengths differ by this factor say what starting costs."""
MOST_PAIRS = 65
"""The last pairs of neighbours count."""
ENOUGH_PAIRS = 6
"""Fewer may all be wrong: a busy machine takes twice as long for one chunk as for the next."""
START_SHARE = 0.9
"""Starting costs less than this share of the shortest time that was measured."""


class Profile:
    """Seconds to start a chunk, and seconds a frame. Each method costs the same however many chunks were timed.

    Args:
        first: The job's first frame.
        frames: Its frames, at least 1.
    """

    def __init__(self, first: int, frames: int) -> None:
        self._first = first
        self._width = -(-frames // BINS)
        """Frames of a bin; the last one may have fewer."""
        count = -(-frames // self._width)
        self._frames, self._seconds, self._starts = [0.0] * count, [0.0] * count, [0.0] * count
        self._rates: list[float] = []
        self._timed: list[tuple[int, int, float]] = []
        self._pairs: deque[float] = deque(maxlen=MOST_PAIRS)
        self._least = 0.0
        self.longest = 0
        """The most frames of a chunk that was timed."""

    @property
    def is_known(self) -> bool:
        """Whether a chunk was timed."""
        return bool(self._timed)

    @property
    def knows_start(self) -> bool:
        """Whether so many neighbours of other lengths were timed that chance has little part in what they say."""
        return len(self._pairs) >= ENOUGH_PAIRS

    @property
    def start_seconds(self) -> float:
        """What starting a chunk costs, as far as it is known."""
        return min(max(median(self._pairs), 0.0), START_SHARE * self._least) if self._pairs else 0.0

    def bin_of(self, frame: int) -> int:
        """The place of a frame."""
        return (frame - self._first) // self._width

    def end_of(self, place: int) -> int:
        """One past the last frame of a place."""
        return self._first + (place + 1) * self._width

    def note(self, start: int, frames: int, seconds: float) -> None:
        """Count a chunk that was timed."""
        self._least = min(self._least or seconds, seconds)
        self.longest = max(self.longest, frames)
        self._pair(start, frames, seconds)
        insort(self._timed, (start, frames, seconds))
        frame, end = start, start + frames
        while frame < end:
            place = self.bin_of(frame)
            until = min(end, self.end_of(place))
            share = (until - frame) / frames
            self._frames[place] += until - frame
            self._seconds[place] += seconds * share
            self._starts[place] += share
            frame = until
        self._rates = []

    def _pair(self, start: int, frames: int, seconds: float) -> None:
        """Compare with the neighbours: two lengths at about the same place give the start and the frames apart."""
        place = bisect_left(self._timed, (start,))
        for other in self._timed[max(place - 1, 0) : place + 1]:
            if max(frames, other[1]) < UNLIKE * min(frames, other[1]):
                continue
            gap = max(other[0] - start - frames, start - other[0] - other[1])
            if gap <= self._width:
                self._pairs.append((seconds * other[1] - other[2] * frames) / (other[1] - frames))

    def rate(self, place: int) -> float:
        """Seconds a frame at a place: as measured there, else between the nearest measured ones."""
        if not self._rates:
            self._rates = self._fill()
        return self._rates[place]

    def _fill(self) -> list[float]:
        start = self.start_seconds
        known = [(place, max(self._seconds[place] - start * self._starts[place], 0.02 * self._seconds[place]) / frames)
                 for place, frames in enumerate(self._frames) if frames]  # fmt: skip
        rates, after = [], 0
        for place in range(len(self._frames)):
            while after < len(known) and known[after][0] < place:
                after += 1
            if after == len(known):
                rates.append(known[-1][1])
            elif known[after][0] == place or after == 0:
                rates.append(known[after][1])
            else:
                (left, low), (right, high) = known[after - 1], known[after]
                rates.append(low + (high - low) * (place - left) / (right - left))
        return rates

    def seconds(self, start: int, frames: int) -> float:
        """How long a chunk takes, its start included."""
        total, frame, end = self.start_seconds, start, start + frames
        while frame < end:
            place = self.bin_of(frame)
            until = min(end, self.end_of(place))
            total += (until - frame) * self.rate(place)
            frame = until
        return total

    def frames_for(self, start: int, work: float, *, most: int) -> int:
        """How many frames from `start` on cost so many seconds, their chunk's start not counted.

        Args:
            start: The first.
            work: Seconds.
            most: The most frames.
        """
        frame, end = start, start + most
        while frame < end:
            place = self.bin_of(frame)
            until, rate = min(end, self.end_of(place)), self.rate(place)
            if (until - frame) * rate >= work:
                return frame - start + round(work / rate)
            work -= (until - frame) * rate
            frame = until
        return most
