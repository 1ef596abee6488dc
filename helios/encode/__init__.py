"""Encode an existing video in chunks: look at it, cut it, and encode each chunk by PyAV alone.

The orchestrator uses `analysis` and `plan`; a chunk's command is the program `helios-encode-chunk` (`program`), which
is installed with this package. No module here knows Prefect or a cloud.
"""
