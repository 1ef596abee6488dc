"""Which chunk gets a second attempt, when, and for how much."""

from collections.abc import Mapping
from math import inf

import pytest

from tasks.schedule.cutting import Cutter, Wanted
from tasks.schedule.expectation import Piece, Timing
from tasks.schedule.hedging import BEYOND, MOST_HEDGES, Running
from tasks.schedule.policy import Kind, Schedule, Step, Wait


def schedule(*seconds: float, hedge: float = 0.05, earlier: Mapping[int, Timing] | None = None) -> Schedule:
    """A run of twenty chunks whose first ones took this long, and in which no chunk waits."""
    found = Schedule([Piece(number, 30) for number in range(20)], waiting=[], hedge=hedge, earlier=earlier)
    for number, one in enumerate(seconds):
        found.note_attempt(number, one, accepted=True)
    return found


def test_a_chunk_far_beyond_its_siblings_is_hedged() -> None:
    """With nothing else to do, the chunk that is furthest beyond what its siblings let expect gets a second attempt."""
    found = schedule(*[1.0] * 10).decide([Running(10, 2.0), Running(11, 7.0), Running(12, 6.0)], 0.0)
    assert isinstance(found, Step)
    assert (found.kind, found.chunk_id) == (Kind.HEDGE, 11)
    assert found.seconds == pytest.approx(BEYOND * (1 + 10**-0.5))


def test_a_waiting_chunk_comes_first_and_an_audit_last() -> None:
    """A free slot renders what waits, then hedges, then audits."""
    one = schedule(*[1.0] * 10)
    one.add(15)
    one.add_audit(3)
    slow, hedged = Running(11, 7.0), Running(11, 7.0, hedge_seconds=0.0, hedges=1)
    steps = [one.decide([slow], 0.0), one.decide([slow], 0.0), one.decide([hedged], 0.0)]
    assert [step.kind for step in steps if isinstance(step, Step)] == [Kind.RENDER, Kind.HEDGE, Kind.AUDIT]


def test_it_says_when_to_look_again() -> None:
    """Where a running chunk is not too slow yet, the policy names the moment at which it will be."""
    found = schedule(*[1.0] * 10).decide([Running(11, 2.0)], 0.0)
    assert isinstance(found, Wait)
    assert found.seconds == pytest.approx(BEYOND * (1 + 10**-0.5) - 2.0)


@pytest.mark.parametrize(
    "running",
    [
        Running(11, 9.0, may_hedge=False),
        Running(11, 9.0, hedge_seconds=1.0, hedges=1),
        Running(11, 9.0, hedges=MOST_HEDGES),
        Running(11, 1.2),
    ],
)
def test_no_second_attempt(running: Running) -> None:
    """One whose command writes to the output itself, one that has a second attempt or had enough, and one in time."""
    assert isinstance(schedule(*[1.0] * 10).decide([running], 0.0), Wait)


def test_few_siblings_say_nothing() -> None:
    """With two accepted siblings, or fewer than there are chunks at work, nothing is hedged."""
    assert schedule(1.0, 1.0).decide([Running(11, 99.0)], 0.0) == Wait(None)
    at_work = [Running(number, 99.0) for number in range(10, 15)]
    assert schedule(*[1.0] * 4).decide(at_work, 0.0) == Wait(None)


def test_nothing_is_hedged_with_a_share_of_0() -> None:
    """The share 0 turns it off."""
    assert schedule(*[1.0] * 10, hedge=0.0).decide([Running(11, 99.0)], 0.0) == Wait(None)


def test_a_chunk_that_was_long_before_is_expected_to_be_long() -> None:
    """What earlier runs tell of a chunk is in what it is expected to take."""
    earlier = {number: Timing(30, 10.0 if number == 11 else 1.0) for number in range(20)}
    one = schedule(*[1.0] * 10, earlier=earlier)
    assert one.pace.limit(11) == pytest.approx(10 * one.pace.limit(12))
    assert isinstance(one.decide([Running(11, 9.0)], 0.0), Wait)


def test_a_short_chunk_is_expected_to_start_as_slowly_as_others() -> None:
    """A chunk of few frames has the limit of an ordinary one: starting its command takes as long."""
    one = Schedule([Piece(number, 30) for number in range(10)] + [Piece(10, 1)], waiting=[], hedge=0.05)
    for number in range(9):
        one.note_attempt(number, 3.0, accepted=True)
    assert one.pace.limit(10) == one.pace.limit(9)


def test_the_bucket_bounds_what_wins_nothing() -> None:
    """After the first, a second attempt is begun only where the share of the others' time pays for it."""
    one = schedule(*[1.0] * 10)
    assert isinstance(one.decide([Running(11, 7.0), Running(12, 7.0)], 0.0), Step)
    one.note_attempt(11, 2.0, accepted=False, is_hedge=True)
    found = one.decide([Running(12, 7.0)], 1.0)
    assert isinstance(found, Wait)
    assert found.seconds is not None
    assert 0 < found.seconds < inf
    for number in range(60):
        one.note_attempt(number % 10, 1.0, accepted=True)
    assert isinstance(one.decide([Running(12, 8.0)], 2.0), Step)


def test_one_that_wins_costs_nothing() -> None:
    """Where the second attempt's output was accepted, the bucket is as full as before."""
    one = schedule(*[1.0] * 10)
    assert isinstance(one.decide([Running(11, 7.0)], 0.0), Step)
    one.note_attempt(11, 1.0, accepted=True, is_hedge=True)
    one.note_attempt(11, 8.0, accepted=False)
    assert one.bucket.hedge_seconds == 0.0
    assert one.bucket.work_seconds == pytest.approx(19.0)


def test_a_chunk_that_was_cut_before_anything_was_timed_is_priced_later() -> None:
    """Of a job that is cut on the way, what chunks cost is in seconds for all of them, also for the first ones."""
    cutter = Cutter(0, 1000, wanted=Wanted(5.0), slots=4, most=1000)
    one = Schedule([], waiting=[], hedge=0.05, cutter=cutter)
    steps = [one.decide([], 0.0) for _ in range(4)]
    cuts = [step.cut for step in steps if isinstance(step, Step) and step.cut is not None]
    assert len(cuts) == 4
    for cut in cuts[:3]:
        one.note_attempt(cut.id, 0.1 * cut.frames, accepted=True)
    assert one.pace.expected(cuts[3].id) == pytest.approx(0.1 * max(cuts[3].frames, cuts[0].frames), rel=0.5)
