"""How many chunks at a time meet a deadline, and at which places."""

import pytest

from tasks.schedule.deadline import FIRST_SLOTS, MARGIN, Option, Outlook, expected_seconds, plan_slots
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
    alone = [Option("", most)]
    found = plan_slots(Outlook(work, longest), alone, left=left, most=most)
    assert (found.slots, found.is_in_time) == (slots, is_in_time)
    assert found.seconds == pytest.approx(expected_seconds(Outlook(work, longest), alone, {"": slots}))
    if 1 < slots < most:
        assert expected_seconds(Outlook(work, longest), alone, {"": slots - 1}) > MARGIN * left


def test_before_anything_is_known() -> None:
    """A few chunks tell how long they take; when the time is over, all slots are used."""
    alone = [Option("", 50)]
    assert plan_slots(None, alone, left=60, most=50).slots == FIRST_SLOTS
    assert plan_slots(None, alone, left=60, most=2).slots == 2
    assert plan_slots(None, alone, left=0, most=50).slots == 50


LOCAL, FARM, CLOUD = Option("local", 2), Option("farm", 4, price=1.0), Option("cloud", 50, price=5.0, pace=0.5)


@pytest.mark.parametrize(
    ("left", "most", "places", "is_in_time"),
    [
        (1000, 56, {"local": 1}, True),
        (100, 56, {"local": 2}, True),  # 90 / (90 - 10) = 1.1
        (40, 56, {"local": 2, "farm": 2}, True),  # 90 / (36 - 10) = 3.5
        (25, 56, {"local": 2, "farm": 4, "cloud": 1}, True),  # 6 slots do 10 s each, one of the cloud 30 s
        (25, 6, {"cloud": 3}, True),  # where six at a time is the bound, the fast ones do it
        (12, 56, {"cloud": 23}, True),  # a chunk takes too long everywhere else
        (4, 56, {"local": 2, "farm": 4, "cloud": 50}, False),
    ],
)
def test_the_cheapest_places_that_meet_it(left: float, most: int, places: dict[str, int], is_in_time: bool) -> None:
    """Dearer places are opened only when the cheaper ones are full, and no more of them than is needed."""
    found = plan_slots(Outlook(100, 10), [CLOUD, LOCAL, FARM], left=left, most=most)
    assert (found.places, found.is_in_time) == (places, is_in_time)
    assert found.slots == sum(places.values()) <= most


def test_a_place_that_is_slow_is_dear() -> None:
    """What counts is the price of a chunk: an hour's price times how long it takes there."""
    fast, slow = Option("fast", 9, price=2.0), Option("slow", 9, price=1.0, pace=3.0)
    assert plan_slots(Outlook(100, 10), [slow, fast], left=1000, most=18).places == {"fast": 1}


def test_before_anything_is_known_of_several_places() -> None:
    """Chunks of the cheapest place tell; if they take long without an answer, more places are opened meanwhile."""
    options = [LOCAL, FARM]
    assert plan_slots(None, options, left=60, most=6).places == {"local": 2}
    assert plan_slots(Outlook(10, 1, is_least=True), options, left=60, most=6).places == {"local": 2}
    found = plan_slots(Outlook(100, 10, is_least=True), options, left=40, most=6)
    assert (found.places, found.seconds) == ({"local": 2, "farm": 2}, None)
    found = plan_slots(Outlook(100, 10, is_least=True), options, left=5, most=6)
    assert (found.places, found.is_in_time) == ({"local": 2, "farm": 4}, False)
    assert plan_slots(None, [Option("local", 0), FARM], left=60, most=6).places == {"farm": FIRST_SLOTS}


def test_an_open_place_stays_until_the_job_is_well_ahead() -> None:
    """A place is not opened and closed in turn, where it is only just needed and then only just not."""
    assert plan_slots(Outlook(100, 10), [LOCAL, FARM], left=62, most=6).places == {"local": 2}
    assert plan_slots(Outlook(100, 10), [LOCAL, FARM], left=62, most=6, now_open=["farm"]).places == {
        "local": 2, "farm": 1
    }  # fmt: skip
    assert plan_slots(Outlook(100, 10), [LOCAL, FARM], left=90, most=6, now_open=["farm"]).places == {"local": 2}


def left(schedule: Schedule, *running: Running) -> tuple[float, float] | None:
    """Seconds of all that is left of a run, and of the longest of it, to the thousandth."""
    found = schedule.outlook(running)
    return None if found is None else (round(found.work, 3), round(found.longest, 3))


def test_what_is_left_of_a_run() -> None:
    """Nothing is known before a chunk is accepted, unless earlier runs were timed; then each accepted chunk is less."""
    pieces = [Piece(number, 30) for number in range(4)]
    new = Schedule(pieces, waiting=range(4))
    assert left(new) is None
    assert left(new, Running(1, 3.0)) == (9, 3)  # at least
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
