"""One live run: its lock on the job, its control, its ledger, and its task states."""
