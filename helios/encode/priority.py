"""Keep an encoder's threads from taking the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def same_priority() -> Iterator[None]:
    """Restore the thread's priority after the block.

    Under root, SVT-AV1 gives the thread that opens it the highest real-time priority. Every process that the thread
    starts from then on inherits the priority, until no other process on the machine gets the CPU.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)
