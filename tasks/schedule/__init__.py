"""What a run starts next, and what it gives a second attempt: pure decisions, from what is known at one moment.

    what is known                                  what is decided
    frames, times of earlier runs ─► expectation ─► order: the longest expected chunk first
    seconds of accepted attempts  ─► pace        ─┐
    attempts that run now                        ─┴► hedging: a second attempt of a chunk that takes too long
    seconds by place in the job   ─► profile      ─► cutting: how long the next chunk is, where the run cuts them
    all of it                                     ─► policy: the next step
    speed and failures of each place              ─► places: where an attempt runs, if there are several

Nothing here reads a clock, waits, or knows Prefect, a disk or a network: `tasks.run.work` carries out in a live run,
`benchmarks.policy` in virtual time, by the same code. docs/scheduling.md says what comes of it.
"""
