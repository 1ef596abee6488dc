"""Errors of Prefect's server: one that the program starts, or the one that is configured."""

from helios.errors import ExpectedError


class ServerStartError(ExpectedError):
    """A Prefect server that the command starts for itself did not start; or the configured one can't be used."""
