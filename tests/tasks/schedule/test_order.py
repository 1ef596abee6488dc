"""Chunks start in the order of what they are expected to take."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.schedule.expectation import Piece, Timing, expect
from tasks.schedule.order import Pending
from tasks.schedule.quantile import RunningQuantile


def taken(frames: list[int], earlier: dict[int, Timing] | None = None) -> list[int]:
    """The ids in the order in which they start."""
    pieces = [Piece(number, count) for number, count in enumerate(frames)]
    pending = Pending(pieces, expect(pieces, earlier or {}), range(len(pieces)))
    return [pending.take() for _ in pieces]


def test_document_order_where_nothing_is_known() -> None:
    """Chunks of equal length start in document order; the short last one is last."""
    assert taken([30] * 5 + [7]) == [0, 1, 2, 3, 4, 5]


def test_longer_chunks_start_first() -> None:
    """What the document says counts: more frames are expected to take longer."""
    assert taken([10, 300, 20, 300]) == [1, 3, 2, 0]


def test_earlier_runs_say_what_is_long() -> None:
    """A chunk that took long in an earlier run starts first; about equal ones keep their order."""
    earlier = {0: Timing(30, 1.0), 1: Timing(30, 1.03), 2: Timing(30, 9.0), 3: Timing(30, 0.99)}
    assert taken([30] * 4, earlier) == [2, 0, 1, 3]


def test_a_chunk_without_a_time_is_like_its_neighbour() -> None:
    """Its seconds a frame are those of the nearest chunk that has some, of the one before where two are as near."""
    pieces = [Piece(number, 10) for number in range(5)]
    costs = expect(pieces, {0: Timing(10, 1.0), 4: Timing(20, 40.0)})
    assert costs == {0: 1.0, 1: 1.0, 2: 1.0, 3: 20.0, 4: 20.0}


def test_a_chunk_that_comes_back_is_taken_again() -> None:
    """A rejected chunk, or one that the cache could not give, has its place by what it costs."""
    pieces = [Piece(0, 10), Piece(1, 90), Piece(2, 10)]
    pending = Pending(pieces, expect(pieces, {}), [0, 2])
    assert pending.take() == 0
    pending.add(1)
    assert [pending.take(), pending.take(), len(pending)] == [1, 2, 0]


def test_what_is_seen_first_while_somebody_watches() -> None:
    """Watched, the first chunk that waits starts next, also one that comes back; unwatched, the longest one again."""
    pieces = [Piece(number, 10 * (number + 1)) for number in range(6)]
    pending = Pending(pieces, expect(pieces, {}), range(1, 6))
    assert pending.take() == 5
    assert pending.take(as_seen=True) == 1
    pending.add(0)
    assert [pending.take(as_seen=True), pending.take(as_seen=True)] == [0, 2]
    pending.add(1)
    assert [pending.take(), pending.take(as_seen=True), pending.take()] == [4, 1, 3]
    assert (len(pending), pending.cost) == (0, 0)


@given(st.lists(st.integers(0, 19), max_size=40), st.data())
def test_no_chunk_is_lost_or_taken_twice(again: list[int], data: st.DataObject) -> None:
    """However watchers come and go, and chunks come back, each that waits is taken once."""
    pieces = [Piece(number, number % 7 + 1) for number in range(20)]
    pending, waiting = Pending(pieces, expect(pieces, {}), range(20)), set(range(20))
    for chunk_id in again:
        for _ in range(data.draw(st.integers(0, len(waiting)))):
            waiting.remove(pending.take(as_seen=data.draw(st.booleans())))
        if chunk_id not in waiting:
            pending.add(chunk_id)
            waiting.add(chunk_id)
        assert len(pending) == len(waiting)
    while waiting:
        waiting.remove(pending.take(as_seen=data.draw(st.booleans())))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_running_quantile_is_the_quantile(numbers: list[float], share: float) -> None:
    """It is the smallest number that the share of all does not exceed, whatever the order."""
    found = RunningQuantile(share)
    for number in numbers:
        found.add(number)
    ordered = sorted(numbers)
    rank = next(rank for rank in range(1, len(ordered) + 1) if rank >= share * len(ordered))
    assert found.value == ordered[rank - 1]
