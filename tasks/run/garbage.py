"""Keep Python's garbage collector from stopping the event loop for long."""

import gc

FULL_COLLECTION_EVERY = 100
"""Full collections are as many times rarer than those of the middle generation; Python's own is 10."""


def calm_collector() -> None:
    """Take what is loaded out of the collector's sight, and let it look at everything more rarely.

    A full collection goes through every object. In a process that has loaded Prefect and a cloud's SDK that
    takes 100 ms, in which nothing else runs; what was loaded stays to the end anyway. Called when everything is
    loaded; a second call does nothing.
    """
    young, middle, old = gc.get_threshold()
    if old == FULL_COLLECTION_EVERY:  # to count what is frozen takes 14 ms
        return
    gc.freeze()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
