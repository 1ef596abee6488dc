"""A farm of one's own machines, on Dask: its scheduler, its nodes, and what they send each other.

    helios-job farm start ─► scheduler.py     knows the nodes, and notices which are gone
    helios-job node       ─► node.py, work.py one machine's place in the farm: renders by `helios.worker.runtime`
    a flow                ─► adapters.farm    chooses a node for each chunk; served_storage.py hands out files

Dask carries requests and answers, and says who is alive; it decides nothing and repeats nothing. Everything between
the parts is TLS with the certificates of `certificates.py`. Needs the extra `farm`.
"""
