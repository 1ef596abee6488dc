"""What only the command line can run into."""

from helios.errors import HeliosError


class ServerStartError(HeliosError):
    """A Prefect server that the command starts for itself did not start."""
