"""The command `helios-job`."""
