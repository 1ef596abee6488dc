"""When a place gets no chunks for a while, because its attempts fail one after the other."""

IN_A_ROW = 3
"""Failures without an accepted output between them, after which a place is benched."""
FIRST_PAUSE_SECONDS = 30.0
"""The first pause; each further one is twice as long. Most services are back from a restart within it."""
LONGEST_PAUSE_SECONDS = 600.0
"""A longer pause would leave a place unused that somebody has mended."""


class Bench:
    """Whether one place gets chunks, and how many at a time.

    After each pause one chunk tries whether the place works (a probe). A place is back once an output of it is
    accepted, also of an attempt that began before the pause.
    """

    def __init__(self) -> None:
        self.failures = 0
        """In a row: of the environment, and strikes."""
        self.doubts = 0
        """Commands in a row that failed; whose fault that is, is not known."""
        self.pauses = 0
        """Pauses since an output was accepted."""
        self.benched = 0
        """How often the place was benched."""
        self._until = 0.0

    @property
    def is_benched(self) -> bool:
        """Whether it has a pause, or is being probed after one."""
        return self.pauses > 0

    def pause_left(self, now: float) -> float:
        """Seconds until it may be probed; 0 where it may be used now."""
        return max(0.0, self._until - now) if self.is_benched else 0.0

    def at_most(self, bound: int, now: float) -> int:
        """How many chunks it may have at a time: none in a pause, one where it has to show that it works."""
        if not self.is_benched:
            return bound if self.doubts < IN_A_ROW else 1
        return 0 if now < self._until else 1

    def note_accepted(self) -> bool:
        """Count an accepted output; say whether the place is back by it."""
        was_benched = self.is_benched
        self.failures = self.doubts = self.pauses = 0
        return was_benched

    def note_doubt(self, began: float, now: float) -> float | None:
        """Count a command that failed: a probe is a failure, another attempt is not yet.

        Returns:
            The pause that begins, in seconds; None where none does.
        """
        self.doubts += 1
        return self.note_failure(began, now) if self.is_benched else None

    def note_failure(self, began: float, now: float) -> float | None:
        """Count a failure of the environment, or a command that failed here alone.

        Args:
            began: When the attempt began. One that began before the pause says nothing new.
            now: The moment.

        Returns:
            The pause that begins, in seconds; None where none does.
        """
        if self.is_benched and began < self._until:
            return None
        self.failures += 1
        if self.failures < IN_A_ROW and not self.is_benched:
            return None
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.pauses, 10), LONGEST_PAUSE_SECONDS)
        self.benched += self.pauses == 0
        self.pauses += 1
        self._until = now + pause
        return pause
