"""How a dead process is noticed: every time limit that decides so, in one place.

A live run gives three signs of life, each for another kind of watcher:

    sign of life                every        watcher                                     takes the run for dead after
    ─────────────────────────── ──────────── ─────────────────────────────────────────── ────────────────────────────
    its process exists          –            anything on the same machine                 at once
    its job lock is renewed     BEAT 5 s     another run of the job, on another machine   OWNER_DEAD 20 s of watching
                                             a command (`helios-job list`), elsewhere     OWNER_SILENT 45 s, then
                                                                                          OWNER_DEAD 20 s of watching
    an event "run.alive"        ALIVE 10 s   Prefect's server, by an automation           RUN_SILENT 35 s
    its slot leases are renewed RENEW 15 s   Prefect's server, for other jobs             SLOT_LEASE 60 s

How they fit, in seconds after the death of a process on another machine:

    0        20              35        45                  65
    |────────|───────────────|─────────|───────────────────|
    death    another run     server    a command begins    the command marks
             may take the    marks it  to watch the lock   the run as crashed
             job over        crashed

- OWNER_DEAD is four beats: one lost request, or an API that is away for some seconds, is not a death. A watcher counts
  by its own clock from its first look, and compares no two machines' clocks.
- OWNER_SILENT is longer than OWNER_DEAD, so that a command asks only about runs that are silent for long by the
  server's own clock, and does not make every `list` wait for 20 s.
- RUN_SILENT is three events and a half: Prefect's server looks at its automations every few seconds.
- SLOT_LEASE is the shortest lease that Prefect's server gives; a renewal may fail three times.

A process that a worker was told to start has no lock yet: `START_PATIENCE` is how long it may take to show itself. A
process that finds the lock with an earlier process of its own run waits for that one: `OWN_END_SECONDS`.
"""

from datetime import timedelta

BEAT_SECONDS = 5.0
"""Between two renewals of a job lock."""
OWNER_DEAD_SECONDS = 20.0
"""An owner on another machine that has not renewed its lock within this many seconds of watching counts as dead."""
OWNER_SILENT = timedelta(seconds=45)
"""A lock that was last renewed this long ago, by the server's clock, is worth watching."""
LOOK_SECONDS = 0.5
"""Between two looks at a lock that is watched."""
ALIVE_SECONDS = 10.0
"""Between two events that tell Prefect's server that a run is alive."""
RUN_SILENT_SECONDS = 35
"""Prefect's server marks a run as crashed that has been silent for this many seconds."""
SLOT_LEASE_SECONDS = 60.0
"""A slot of a concurrency limit is free this many seconds after its holder's death."""
SLOT_RENEW_SECONDS = 15.0
"""Between two renewals of a slot's lease."""
START_PATIENCE = timedelta(minutes=1)
"""A run that a worker took can be given to another one after this. Should the first process come up after all, it
finds the job locked, and stops."""
START_SILENT_SECONDS = 300
"""Prefect's server itself gives a run to another worker that was taken this long ago and has not begun: a slow machine
has not begun within START_PATIENCE either, and nobody is there to judge that."""
OWN_END_SECONDS = 30.0
"""A process waits this long for the end of an earlier process of its run, suspended just before the resume."""
