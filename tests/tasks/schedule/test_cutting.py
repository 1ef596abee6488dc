"""How long chunks are that are cut while their job is rendered."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.schedule.cutting import Cut, Cutter, Wanted, Why


def cutter(frames: int = 1000, *, slots: int = 4, most: int | None = None, kept: Sequence[Cut] = (),
           target_seconds: float = 10.0, shortest: int = 1, cuts: Sequence[int] = (),
           limit_seconds: float | None = None, longest: int | None = None) -> Cutter:  # fmt: skip
    """A job of frames from 5 on."""
    wanted = Wanted(target_seconds, shortest, longest, cuts, limit_seconds)
    return Cutter(5, frames, wanted=wanted, slots=slots, most=most or max(1, frames // shortest), kept=kept)


def drain(one: Cutter, *, start: float = 1.0, rate: float = 0.1) -> list[Cut]:
    """Cut everything; each chunk is timed before the next one is cut."""
    found = []
    while one.has_uncut:
        found.append(cut := one.cut())
        one.note(cut.id, start + rate * cut.frames)
    return found


def covered(cuts: Sequence[Cut]) -> list[tuple[int, int]]:
    """The ranges in frame order."""
    return sorted((cut.start, cut.end) for cut in cuts)


def check_whole(cuts: Sequence[Cut], frames: int) -> None:
    """Each frame is in one chunk, and each chunk has an id of its own."""
    ranges = covered(cuts)
    assert [start for start, _ in ranges] == [5, *(end for _, end in ranges[:-1])]
    assert ranges[-1][1] == 5 + frames
    assert len({cut.id for cut in cuts}) == len(cuts)


def test_it_learns_the_start_apart_from_the_frames() -> None:
    """From chunks of two lengths it knows what starting costs and what a frame costs, and cuts chunks of the target."""
    one = cutter(10_000)
    cuts = drain(one)
    check_whole(cuts, 10_000)
    assert one.profile.start_seconds == pytest.approx(1.0)
    assert one.profile.seconds(5000, 100) == pytest.approx(11.0)
    wanted = [cut for cut in cuts if cut.why is Why.TARGET][2:-1]
    assert len(wanted) > 20
    assert all(cut.seconds == pytest.approx(10.0, abs=0.2) for cut in wanted if cut.frames > 80)


def test_a_start_that_takes_longer_than_the_target_is_learned() -> None:
    """Where starting takes longer than the target, chunks get long enough to be worth it, and not one frame each."""
    cuts = drain(cutter(600, slots=2, target_seconds=0.5), start=5.0, rate=0.05)
    check_whole(cuts, 600)
    assert len(cuts) < 20


def test_the_first_chunks_are_short_and_spread() -> None:
    """What every slot gets at first is short, of two lengths, and lies at places all along the job."""
    one = cutter(1600)
    cuts = [one.cut() for _ in range(4)]
    assert [cut.start for cut in cuts] == [5, 405, 805, 1205]
    assert {cut.frames for cut in cuts} == {25, 75}
    assert {cut.why for cut in cuts} == {Why.FIRST}


def test_chunks_get_shorter_towards_the_end() -> None:
    """The last chunks are short, so that no slot has a long one alone, but not shorter than their start is worth."""
    cuts = drain(cutter(10_000))
    last = [cut for cut in cuts if cut.why is Why.END]
    assert last
    assert last[-1].frames < 40
    assert min(cut.frames for cut in last[:-1]) >= 14


def test_chunks_end_at_cuts() -> None:
    """A chunk ends where a scene does, if that is near."""
    scenes = list(range(95, 10_000, 90))
    cuts = drain(cutter(10_000, cuts=scenes))
    wanted = [cut for cut in cuts if cut.why is Why.TARGET]
    assert sum(cut.end in scenes for cut in wanted) > 0.8 * len(wanted)


def test_a_chunk_that_hits_a_time_limit_is_cut_in_two() -> None:
    """Its halves have its frames, and chunks after it stay below the limit; one of the shortest length is not split."""
    one = cutter(1000, slots=1, target_seconds=100)
    first = one.cut()
    parts = one.split(first.id, 3.0)
    assert parts is not None
    assert covered(parts) == [(first.start, parts[1].start), (parts[1].start, first.end)]
    for part in parts:
        one.note(part.id, 1.0)
    assert all(cut.seconds is not None and cut.seconds <= 3.0 for cut in (one.cut() for _ in range(3)))
    short = cutter(4, shortest=4)
    assert short.split(short.cut().id, 3.0) is None


@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 30), st.floats(0, 5), st.floats(0.001, 3), st.data())
def test_every_frame_is_cut_once(
    frames: int, slots: int, shortest: int, start: float, rate: float, data: st.DataObject
) -> None:
    """Whatever is learned or split, each frame is in one chunk, none is too short, and each id has an output."""
    one = cutter(frames, slots=slots, shortest=shortest, target_seconds=4.0, cuts=[20, 33, 90, 91])
    whole: list[Cut] = []
    waiting: list[Cut] = []
    while one.has_uncut or waiting:
        cut = waiting.pop() if waiting else one.cut()
        if data.draw(st.booleans()) and (parts := one.split(cut.id, 2.0)) is not None:
            waiting += parts
            continue
        whole.append(cut)
        if data.draw(st.booleans()):
            one.note(cut.id, start + rate * cut.frames)
    check_whole(whole, frames)
    assert all(cut.frames >= min(shortest, frames) for cut in whole)
    assert max(cut.id for cut in whole) < max(1, frames // shortest)


def test_what_is_kept_is_not_cut_again() -> None:
    """A run that goes on cuts what lies between the chunks that are there, and gives no id a second time."""
    kept = [Cut(0, 5, 20), Cut(3, 105, 50), Cut(2, 900, 105)]
    one = cutter(1000, kept=kept)
    for cut in kept:
        one.note(cut.id, 1.0 + 0.1 * cut.frames)
    cuts = drain(one)
    check_whole([*kept, *cuts], 1000)
    assert [cut.id for cut in cuts[:2]] == [1, 4]
    assert Why.FIRST not in {cut.why for cut in cuts}
