"""Nodes of an own farm that a cluster starts: asked for while chunks wait, given back when none do.

    cluster.py ── policy.py               how many nodes to ask for, from numbers alone
               ── source.py               what every kind of cluster can do
                    ├─ queue_nodes.py         batch queues
                    │    ├─ jobs.py           job scripts, submission, cancellation: dask-jobqueue, imported there alone
                    │    ├─ states.py         what the queue says of jobs
                    │    └─ flow_folder.py    the token's file, and the jobs' logs
                    ├─ kubernetes_nodes.py    Kubernetes's client, imported there alone
                    │    └─ kubernetes_manifest.py
                    └─ ec2_nodes.py
    guarded.py ── guard.py ── end_node.py a process that cancels what waits when this one is gone
    config.py                             the settings, which need none of these libraries

dask-jobqueue has a class for each queue; its own scaling is not used. Its jobs run `helios.own_farm.queued_node`.
"""
