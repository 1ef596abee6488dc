"""Keep the commands of this process out of its memory, and out of its environment, which has its credentials.

A process may read /proc/PID/environ and /proc/PID/mem of every process of its user that is dumpable, which all are from
their start (proc(5), ptrace(2)). Commands are dumpable, since each execve(2) makes a process so again.
"""

import ctypes
import sys

PR_SET_DUMPABLE = 4
"""prctl(2)."""


def hide_memory() -> None:
    """Let no process of the same user read this process's memory and environment, or trace it; root still may.

    Files of /proc/self then belong to root. It also means that there is no core dump.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
