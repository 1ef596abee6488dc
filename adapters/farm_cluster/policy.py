"""How many nodes to ask a cluster for: decided from numbers, without asking anybody."""

import math


def nodes_to_ask_for(*, waiting: int, pending: int, joined: int, slots: int, most: int) -> int:
    """How many nodes to ask for; below 0, how many of those that have not come are not needed any more.

    Nodes that have come leave by themselves when they have nothing to do.

    Args:
        waiting: Chunks for which the farm has no place.
        pending: Nodes that were asked for and have not come.
        joined: Nodes that were asked for and have come.
        slots: Chunks at a time on a node.
        most: The most nodes at a time.
    """
    wanted = math.ceil(waiting / slots)
    if wanted < pending:
        return wanted - pending
    return max(0, min(wanted - pending, most - pending - joined))
