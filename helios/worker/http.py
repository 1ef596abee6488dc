"""What the entry points that speak HTTP share. Must stay light: Lambda's handler imports it."""

from helios.errors import RetryBudget
from helios.models.invocation import ChunkAnswer

STATUS = {RetryBudget.NONE: 400, RetryBudget.CHUNK: 200, RetryBudget.ENVIRONMENT: 503}
"""HTTP status of a failure, by what it counts against; 200 for every command that ran, whatever its exit code."""


def status_of(answer: ChunkAnswer) -> int:
    """The HTTP status that goes with an answer."""
    return STATUS[answer.error.failure.budget] if answer.error else 200
