"""The exit codes of `helios-job`."""

EXIT_FAILED = 1
"""The job failed, or something that a command asked for did not work."""
EXIT_REFUSED = 2
"""The input was refused; nothing ran."""
EXIT_INTERRUPTED = 130
"""Ctrl-C, or the job was cancelled."""
