"""Keep Python's garbage collector from stopping the event loop for long."""

import gc

FULL_COLLECTION_EVERY = 100
"""Full collections are as many times rarer than those of the middle generation; Python's own is 10."""


def calm_collector() -> None:
    """Exclude everything that is loaded by now from collections, and make full collections rarer.

    A full collection goes through every object: 100 ms in a process that has loaded Prefect and a cloud's SDK, in which
    nothing else runs. Loaded code stays until the end anyway. Call it when everything is loaded; a second call does
    nothing.
    """
    young, middle, old = gc.get_threshold()
    if old == FULL_COLLECTION_EVERY:  # counting the frozen objects would take 14 ms
        return
    gc.freeze()
    gc.set_threshold(young, middle, FULL_COLLECTION_EVERY)
