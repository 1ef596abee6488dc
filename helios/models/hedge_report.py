"""What second attempts of slow chunks came to."""

from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel


class HedgeReport(WireModel):
    """What second attempts of slow chunks came to."""

    share: float
    """What they may cost, as a share of the time of the others."""
    attempts: Annotated[int, Field(ge=1)]
    """Second attempts that began."""
    won: Annotated[int, Field(ge=0)]
    """Those whose output was accepted."""
    seconds: float
    """How long they ran together."""
    work_seconds: float
    """How long all other attempts ran together."""
    lost_seconds: float
    """How long those ran, of both kinds, that were stopped because the other one was faster."""
