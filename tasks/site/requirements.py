"""What a job requires of its workers, where the adapter can't choose among them."""

from helios.adapter import PlacingAdapter, WorkerAdapter
from helios.models.spec import JobSpec
from tasks.site.site import Tell


def tell_unheeded(adapter: WorkerAdapter, spec: JobSpec, tell: Tell) -> None:
    """Say it if chunks require something of their worker, and all workers are taken to have it."""
    if isinstance(adapter, PlacingAdapter):
        return
    if asking := sum(spec.required_by(chunk).of_worker for chunk in spec.chunks):
        tell(
            f"{asking} chunks require tags, GPUs or memory: this adapter does not choose among workers, and takes each "
            "of them to have what is required"
        )
