"""Of several places, a chunk goes to the one that is expected to finish it first."""

from itertools import count

from tasks.schedule.bench import FIRST_PAUSE_SECONDS, IN_A_ROW, LONGEST_PAUSE_SECONDS
from tasks.schedule.place import Change, Ended, Place, Wanted
from tasks.schedule.places import Placement


def placement(*places: Place, chunks: int = 100, cost: float = 1.0) -> Placement:
    return Placement(places, dict.fromkeys(range(chunks), cost))


def taught(*places: tuple[Place, float], cost: float = 1.0) -> Placement:
    """Places of which each has had one chunk accepted after some seconds."""
    found = placement(*(place for place, _ in places), cost=cost)
    for place, seconds in places:
        begun = found.begin(place.name, 0, 0.0)
        found.end(begun, Ended.ACCEPTED, seconds, seconds=seconds, render_seconds=seconds)
    return found


def given(found: Placement, chunks: int, *, now: float = 100.0, backlog: float = 0.0) -> list[str | None]:
    """Where each of some chunks starts now; None where it waits."""
    choice = found.decide([Wanted(chunk) for chunk in range(chunks)], now, backlog=backlog)
    return [choice.given.get(position) for position in range(chunks)]


def test_the_order_of_the_list_decides_where_nothing_is_known() -> None:
    """The first place is filled first, then the next one, whatever they cost."""
    found = placement(Place("local", 2, 5.0), Place("farm", 3, 1.0))
    assert given(found, 4) == ["local", "local", "farm", "farm"]


def test_the_cheaper_of_two_alike_is_taken() -> None:
    """Where the times don't differ, the price decides; a place that nobody has tried is taken to be like the others."""
    dear, cheap, new = Place("dear", 2, 5.0), Place("cheap", 2, 1.0), Place("new", 2, 2.0)
    found = taught((dear, 10.0), (cheap, 10.4))
    assert given(found, 3) == ["cheap", "cheap", "dear"]
    found = placement(new, dear)
    found.end(found.begin("dear", 0, 0.0), Ended.ACCEPTED, 10.0, seconds=10.0, render_seconds=10.0)
    assert given(found, 1) == ["new"]


def test_a_chunk_waits_for_a_place_that_finishes_it_earlier() -> None:
    """Slow slots stay free for the last chunks of a job, which the fast place finishes earlier one after another."""
    fast, slow = Place("fast", 1, 0.0), Place("slow", 2, 0.0)
    found = taught((fast, 1.0), (slow, 10.0))
    assert given(found, 4) == ["fast", None, None, None]
    found.begin("fast", 9, 100.0)
    assert given(found, 4) == [None] * 4
    assert found.decide([Wanted(1)], 100.0).again == 0.5


def test_slow_slots_help_with_a_long_queue() -> None:
    """They take chunks while what is to be done keeps the fast place busy for longer than they need for one."""
    fast, slow = Place("fast", 1, 0.0), Place("slow", 2, 0.0)
    found = taught((fast, 1.0), (slow, 10.0))
    assert given(found, 3, backlog=50.0) == ["fast", "slow", "slow"]
    assert given(found, 3, backlog=2.0) == ["fast", None, None]


def test_start_up_and_speed_are_known_apart() -> None:
    """A place with a long start-up gets long chunks, and not short ones."""
    near, far = Place("near", 1, 0.0), Place("far", 1, 0.0)
    found = Placement([near, far], {0: 1.0, 1: 10.0, 2: 1.0})
    found.end(found.begin("near", 0, 0.0), Ended.ACCEPTED, 9.0, seconds=3.0, render_seconds=3.0)
    found.end(found.begin("far", 0, 0.0), Ended.ACCEPTED, 9.0, seconds=6.0, render_seconds=1.0)
    choice = found.decide([Wanted(1), Wanted(2)], 100.0)
    assert choice.given == {0: "far", 1: "near"}


def test_a_place_that_answers_nothing_is_slow() -> None:
    """What its first attempt has taken so far counts, before one has ended."""
    found = placement(Place("first", 2), Place("second", 1))
    found.begin("first", 0, 0.0)
    found.end(found.begin("second", 1, 0.0), Ended.ACCEPTED, 1.0, seconds=1.0, render_seconds=1.0)
    assert given(found, 1, now=50.0) == ["second"]


def test_second_attempts_go_elsewhere() -> None:
    """A second attempt takes a free slot of another place, of its own one where no other is free, else none."""
    found = taught((Place("a", 2), 1.0), (Place("b", 1), 5.0))
    assert found.decide([Wanted(1, beside="a")], 100.0).given == {0: "b"}
    found.begin("b", 2, 100.0)
    assert found.decide([Wanted(1, beside="a")], 100.0).given == {0: "a"}
    assert found.decide([Wanted(1, beside="a", barred=frozenset("a"))], 100.0).given == {}


def test_a_command_that_failed_is_tried_elsewhere_next() -> None:
    """The next attempt waits for another place even where its own is free; one that failed everywhere goes anywhere."""
    found = taught((Place("a", 2), 1.0), (Place("b", 1), 5.0))
    found.end(found.begin("a", 1, 100.0), Ended.COMMAND, 101.0)
    busy = found.begin("b", 2, 100.0)
    assert given(found, 2, now=101.0) == ["a", None]
    assert given(found, 2, now=101.0, backlog=1000.0) == ["a", None]
    found.end(busy, Ended.STOPPED, 101.0)
    assert given(found, 2, now=101.0) == ["a", "b"]
    found.end(found.begin("b", 1, 101.0), Ended.COMMAND, 102.0)
    assert given(found, 2, now=102.0) == ["a", "a"]


def fail(found: Placement, name: str, now: float, times: int = 1) -> list[Change]:
    """Have a place's environment fail some times at one moment."""
    begun = [found.begin(name, 60 + chunk, now) for chunk in range(times)]
    return [change for one in begun for change in found.end(one, Ended.ENVIRONMENT, now)]


def test_a_place_that_fails_in_a_row_is_benched() -> None:
    """It gets nothing for a pause, then one chunk; each failure doubles the pause, up to a bound."""
    found = placement(Place("a", 4), Place("b", 1))
    pause, now = FIRST_PAUSE_SECONDS, 0.0
    assert fail(found, "a", now, IN_A_ROW - 1) == []
    assert fail(found, "a", now) == [Change("a", pause)]
    assert given(found, 2, now=now) == ["b", None]
    for _ in count():
        now += pause
        assert given(found, 3, now=now) == ["a", "b", None]
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        assert fail(found, "a", now) == [Change("a", pause)]
        if pause == LONGEST_PAUSE_SECONDS:
            break
    assert found.known["a"].bench.benched == 1


def test_attempts_that_began_before_the_pause_say_nothing_new() -> None:
    """All chunks of a place that dies fail at once; the pause stays what it is."""
    found = placement(Place("a", 9), Place("b", 1))
    assert fail(found, "a", 5.0, 9) == [Change("a", FIRST_PAUSE_SECONDS)]
    assert found.known["a"].bench.pause_left(5.0) == FIRST_PAUSE_SECONDS


def test_an_accepted_output_brings_a_place_back() -> None:
    """The probe's does, and that of an attempt which began before the pause; then it has all its slots."""
    found = placement(Place("a", 2), Place("b", 1))
    survivor = found.begin("a", 50, 0.0)
    fail(found, "a", 0.0, IN_A_ROW)
    assert found.end(survivor, Ended.ACCEPTED, 1.0, seconds=1.0, render_seconds=1.0) == [Change("a", None)]
    assert given(found, 2, now=1.0) == ["a", "a"]


def test_failures_with_successes_between_them_bench_nothing() -> None:
    """Only a row of failures counts."""
    found = placement(Place("a", 2), Place("b", 1))
    for _ in range(3):
        assert fail(found, "a", 0.0, IN_A_ROW - 1) == []
        found.end(found.begin("a", 0, 0.0), Ended.ACCEPTED, 1.0, seconds=1.0, render_seconds=1.0)


def test_strikes_bench_a_place_where_commands_alone_fail() -> None:
    """A command that fails at one place, and whose output another one renders, is that place's fault."""
    found = placement(Place("a", 2), Place("b", 1))
    changes: list[Change] = []
    for chunk in range(IN_A_ROW):
        found.end(found.begin("a", chunk, 0.0), Ended.COMMAND, 1.0)
        changes += found.end(found.begin("b", chunk, 1.0), Ended.ACCEPTED, 2.0, seconds=1.0, render_seconds=1.0)
    assert changes == [Change("a", FIRST_PAUSE_SECONDS)]
    assert (found.known["a"].strikes, found.known["b"].strikes) == (IN_A_ROW, 0)
    probe = found.begin("a", 9, 40.0)
    assert found.end(probe, Ended.COMMAND, 41.0) == [Change("a", 2 * FIRST_PAUSE_SECONDS)]


def test_a_place_of_failing_commands_has_one_at_a_time() -> None:
    """Before it is known whose fault that is, it is kept from failing one chunk after the other."""
    found = placement(Place("a", 4), Place("b", 1))
    for chunk in range(IN_A_ROW):
        found.end(found.begin("a", chunk, 0.0), Ended.COMMAND, 1.0)
    assert [found.decide([Wanted(9), Wanted(8), Wanted(7)], 1.0).given[place] for place in (0, 1)] == ["a", "b"]


def test_all_places_are_benched() -> None:
    """Nothing starts, and the next look is at the end of the first pause."""
    found = placement(Place("a", 1), Place("b", 1))
    fail(found, "a", 0.0, IN_A_ROW)
    fail(found, "b", 10.0, IN_A_ROW)
    choice = found.decide([Wanted(0)], 10.0)
    assert (choice.given, choice.again) == ({}, FIRST_PAUSE_SECONDS - 10.0)
    assert given(found, 2, now=FIRST_PAUSE_SECONDS) == ["a", None]


def test_a_chunk_that_its_place_failed_twice_probes_nothing() -> None:
    """The same chunk is not lost to each probe; another one, or another place, has its turn."""
    found = placement(Place("a", 1), Place("b", 1))
    for _ in range(2):
        found.end(found.begin("a", 0, 0.0), Ended.ENVIRONMENT, 1.0)
    assert given(found, 2, now=1.0) == ["b", "a"]


def test_a_place_that_can_t_be_reached_is_benched_at_once() -> None:
    """And for longer each time."""
    found = placement(Place("a", 1), Place("b", 1))
    assert found.note_away("a", 0.0) == Change("a", FIRST_PAUSE_SECONDS)
    assert found.note_away("a", 30.0) == Change("a", 2 * FIRST_PAUSE_SECONDS)
