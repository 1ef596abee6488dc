"""What a job has cost, in its report."""

from datetime import date
from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel

_Amount = Annotated[float, Field(ge=0)]


class CostReport(WireModel):
    """What a job's workers have cost, by list prices; and what it was for."""

    currency: str
    """Three letters, such as `USD`."""
    prices_of: date
    """As of when the prices hold."""
    total: _Amount
    """All of it, what earlier processes of the run have spent included."""
    accepted: _Amount
    """Attempts whose output was accepted."""
    failed: _Amount = 0.0
    """Attempts that failed, or whose output was refused later."""
    hedges: _Amount = 0.0
    """Second attempts of slow chunks that won nothing, and the attempts that others have beaten."""
    audits: _Amount = 0.0
    """Second renders of accepted chunks."""
    stopped: _Amount = 0.0
    """Attempts that were stopped with the run, and those of processes that died."""
    earlier: _Amount = 0.0
    """Of the total, what earlier processes of the run have spent."""
    budget: _Amount | None = None
    """What the run may cost; empty where nobody named a budget."""
