"""Prefect tasks: one chunk, the stitch, the merge, and what they share. Imports adapters and helios."""
