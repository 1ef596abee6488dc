"""What a job requires of its workers, where the adapter can't choose among them."""

from helios.adapter import PlacingAdapter, WorkerAdapter
from helios.models.spec import JobSpec


def unheeded(adapter: WorkerAdapter, spec: JobSpec) -> list[str]:
    """A line for the run's log if chunks require something of their worker, and all workers are taken to have it."""
    if isinstance(adapter, PlacingAdapter):
        return []
    asking = [chunk.id for chunk in spec.chunks if spec.required_by(chunk).of_worker]
    if not asking:
        return []
    return [
        f"{len(asking)} chunks require tags, GPUs or memory: this adapter does not choose among workers, and takes "
        "each of them to have what is required"
    ]
