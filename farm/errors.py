"""Errors of starting a Prefect server."""

from helios.errors import ExpectedError


class ServerStartError(ExpectedError):
    """A Prefect server that the command starts for itself did not start."""
