"""A process that outlives the flow for a moment: when the flow is gone, it cancels the jobs that still wait in a queue.

It reads one line for each event from standard input: the command that cancels, and the token's file if there is one
(JSON); then `+ID` for a job that was asked for, and `-ID` for one that needs no cancelling any more: it has ended, or
its node has joined the farm and ends by itself. It is run as a file by an interpreter without site packages, and
imports nothing of ours.
"""

import json
import os
import subprocess
import sys


def main() -> None:
    """Follow the flow until its end."""
    order = json.loads(sys.stdin.readline() or "null")
    waiting: dict[str, None] = {}
    for line in sys.stdin:
        sign, name = line[:1], line[1:].strip()
        if sign == "+":
            waiting[name] = None
        else:
            waiting.pop(name, None)
    if order is None:
        return
    for name in waiting:
        try:
            subprocess.run(
                [*order["cancel"], name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, timeout=60, check=False,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            continue
    if order["token_file"] is not None:
        try:
            os.unlink(order["token_file"])
        except OSError:
            return


if __name__ == "__main__":
    main()
