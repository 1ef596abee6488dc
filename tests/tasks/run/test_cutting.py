"""What was cut of a job is on record, in parts of a bounded size."""

import asyncio

from tasks.run.cutting import CUTS_OF_A_PART, CutList, Listed
from tasks.schedule.cutting import Cut


class Kept:
    """The parts that were written, as result storage keeps them."""

    def __init__(self) -> None:
        self.parts: dict[int, list[Listed]] = {}
        self.writes = 0

    async def write_cuts(self, number: int, cuts: list[Listed]) -> None:
        """Keep a part."""
        self.writes += 1
        await asyncio.sleep(0)
        self.parts[number] = list(cuts)

    @property
    def listed(self) -> list[Listed]:
        """The whole list."""
        return [cut for number in sorted(self.parts) for cut in self.parts[number]]


def cut(number: int) -> Cut:
    """A chunk of one frame."""
    return Cut(number, number, 1)


async def test_each_chunk_is_on_record_before_it_is_rendered() -> None:
    """When adding returns, the chunk is on record; parts keep their bound however many chunks there are."""
    kept = Kept()
    listed = CutList(kept)
    for number in range(150):
        await listed.add(cut(number))
        assert kept.listed[-1] == (number, number, 1)
    assert kept.listed == [(number, number, 1) for number in range(150)]
    assert [len(part) for part in kept.parts.values()] == [CUTS_OF_A_PART, CUTS_OF_A_PART, 150 - 2 * CUTS_OF_A_PART]


async def test_what_is_cut_at_the_same_time_is_written_at_once() -> None:
    """A hundred slots that get their first chunk together cost a few writes."""
    kept = Kept()
    listed = CutList(kept)
    await asyncio.gather(*(listed.add(cut(number)) for number in range(100)))
    assert sorted(kept.listed) == [(number, number, 1) for number in range(100)]
    assert kept.writes <= 4


async def test_a_later_run_adds_to_the_list() -> None:
    """A run that goes on leaves what is on record, and writes the last part anew."""
    kept = Kept()
    await CutList(kept).add(*(cut(number) for number in range(70)))
    before = kept.listed
    await CutList(kept, before).add(cut(3))
    assert kept.listed == [*before, (3, 3, 1)]
