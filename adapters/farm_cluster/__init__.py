"""Nodes of an own farm that a cluster's queue starts: asked for while chunks wait, given back when none do.

    cluster.py ── policy.py   how many nodes to ask for, from numbers alone
               ── jobs.py     job scripts, submission, cancellation: dask-jobqueue, imported there alone
               ── states.py   what the queue says of jobs
               ── guard.py    a process that cancels waiting jobs when this one is gone
    config.py                 the settings, which need nothing of Dask's

dask-jobqueue has a class for each queue; its own scaling is not used. Its jobs run `helios.own_farm.queued_node`.
"""
