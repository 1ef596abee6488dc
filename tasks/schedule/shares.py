"""How the slots of a limit are shared between the runs that want them."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run wants of a limit."""

    weight: int
    """Its share in relation to the others', at least 1."""
    wants: int
    """Slots that it holds or waits for."""


def share_slots(total: int, demands: Mapping[str, Demand]) -> dict[str, int]:
    """Share slots by weight: slot by slot, each to the run that has the fewest for its weight and wants more.

    So a run that wants less than its share leaves the rest to the others, and a run of any weight gets a slot before
    another gets a second one, as far as there are that many. Of equals, the one of the smaller name comes first: every
    process that knows the same gets the same.

    Args:
        total: The slots, at least 0.
        demands: What each run wants, by its name.

    Returns:
        The slots of each run, at most what it wants.
    """
    shares = dict.fromkeys(demands, 0)
    # A first slot comes before any second one, that of the heaviest run first.
    turns = [(0, 1 / demand.weight, name) for name, demand in demands.items() if demand.wants > 0]
    heapq.heapify(turns)
    for _ in range(total):
        if not turns:
            break
        _, _, name = heapq.heappop(turns)
        shares[name] += 1
        demand = demands[name]
        if shares[name] < demand.wants:
            heapq.heappush(turns, (1, (shares[name] + 1) / demand.weight, name))
    return shares
