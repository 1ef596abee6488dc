"""The callee's side: what runs inside a function, a container, or any machine that renders chunks.

Light and stateless: it fetches a chunk's job document and its assets, runs the command in a fresh workspace,
verifies the output, puts it into storage, and answers. Entry points over one runtime: `aws_lambda`, `cloud_run`,
and `python -m helios.worker`. Must not import Prefect, a cloud's SDK, or a room above helios; PyAV is imported
when there is an output to verify, since a cold start waits for every import.
"""
