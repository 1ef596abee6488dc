"""How many nodes are asked for."""

import pytest

from adapters.farm_cluster.policy import nodes_to_ask_for


@pytest.mark.parametrize(
    ("waiting", "pending", "joined", "count"),
    [
        (0, 0, 0, 0),
        (5, 0, 0, 3),  # two chunks at a time on each
        (5, 3, 0, 0),  # they are on their way
        (100, 0, 0, 10),  # the most
        (100, 4, 6, 0),
        (100, 0, 12, 0),
        (0, 4, 2, -4),  # nothing waits any more
        (3, 4, 2, -2),
    ],
)
def test_nodes_to_ask_for(waiting: int, pending: int, joined: int, count: int) -> None:
    """As many as what waits needs, less those on their way, within the most; below 0 for those that are too many."""
    assert nodes_to_ask_for(waiting=waiting, pending=pending, joined=joined, slots=2, most=10) == count
