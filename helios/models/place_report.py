"""What one of several places did for a job."""

from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel


class PlaceReport(WireModel):
    """One kind of workers of a job that was rendered by several."""

    name: str
    """Its name."""
    adapter: str
    """Name of its adapter."""
    concurrency: Annotated[int, Field(ge=1)]
    """Chunks of the job that it had at a time at most."""
    cost_per_hour: Annotated[float, Field(ge=0)] = 0.0
    """What an hour of one chunk's rendering costs there, as the request says."""
    attempts: Annotated[int, Field(ge=0)]
    """Executions that it began."""
    accepted: Annotated[int, Field(ge=0)]
    """Those whose output was accepted."""
    failed: Annotated[int, Field(ge=0)]
    """Those that failed."""
    seconds: Annotated[float, Field(ge=0)]
    """For how long its workers had attempts, all together."""
    strikes: Annotated[int, Field(ge=0)] = 0
    """Chunks whose command failed there, and whose output was accepted from another place."""
    benched: Annotated[int, Field(ge=0)] = 0
    """How often it got no chunks for a while, because its attempts failed one after the other."""
