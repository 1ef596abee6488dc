"""How many chunks at a time meet a deadline."""

import pytest

from tasks.schedule.deadline import FIRST_SLOTS, Outlook, expected_seconds, plan_slots
from tasks.schedule.expectation import Piece, Timing
from tasks.schedule.hedging import Running
from tasks.schedule.policy import Schedule


@pytest.mark.parametrize(
    ("work", "longest", "left", "most", "slots", "is_in_time"),
    [
        (100, 10, 1000, 50, 1, True),  # one after the other is enough
        (100, 10, 60, 50, 3, True),  # (100 - 10) / (54 - 10) = 2.05
        (100, 10, 30, 50, 6, True),
        (100, 10, 12, 50, 50, True),  # beyond the margin, and yet in time
        (100, 10, 11, 4, 4, False),
        (100, 10, 9, 50, 50, False),  # the longest alone takes longer
        (100, 10, -5, 50, 50, False),
        (0, 0, 5, 50, 1, True),
    ],
)
def test_as_few_as_meet_it(work: float, longest: float, left: float, most: int, slots: int, is_in_time: bool) -> None:
    """As few slots as are in time with a margin; all of them where none are."""
    found = plan_slots(Outlook(work, longest), left=left, most=most)
    assert (found.slots, found.is_in_time) == (slots, is_in_time)
    assert found.seconds == pytest.approx(expected_seconds(Outlook(work, longest), slots))
    if 1 < slots < most:
        assert expected_seconds(Outlook(work, longest), slots - 1) > 0.9 * left


def test_before_anything_is_known() -> None:
    """A few chunks tell how long they take; when the time is over, all slots are used."""
    assert (plan_slots(None, left=60, most=50).slots, plan_slots(None, left=60, most=2).slots) == (FIRST_SLOTS, 2)
    assert plan_slots(None, left=0, most=50).slots == 50


def left(schedule: Schedule, *running: Running) -> tuple[float, float] | None:
    """Seconds of all that is left of a run, and of the longest of it, to the thousandth."""
    found = schedule.outlook(running)
    return None if found is None else (round(found.work, 3), round(found.longest, 3))


def test_what_is_left_of_a_run() -> None:
    """Nothing is known before a chunk is accepted, unless earlier runs were timed; then each accepted chunk is less."""
    pieces = [Piece(number, 30) for number in range(4)]
    new = Schedule(pieces, waiting=range(4))
    assert left(new) is None
    new.note_attempt(0, 6.0, accepted=True)
    assert left(new) == (18, 6)
    new.note_attempt(1, 99.0, accepted=False)
    new.note_attempt(1, 12.0, accepted=True)
    assert left(new) == (18, 9)
    assert left(new, Running(2, 4.0), Running(3, 99.0)) == (5, 5)
    new.add(1)  # its pictures were refused
    assert left(new) == (27, 9)
    timed = Schedule(pieces, waiting=range(4), earlier={0: Timing(30, 2.0), 3: Timing(30, 8.0)})
    assert left(timed) == (20, 8)
    timed.settle(3)  # it was reused
    assert left(timed) == (12, 8)
