"""What a job requires of its workers, where the adapter can't choose among them."""

from helios.adapter import GpuAdapter, PlacingAdapter, WorkerAdapter
from helios.errors import RequestError
from helios.gpus import GpuPool
from helios.models.spec import JobSpec
from tasks.site.site import Tell


def gpus_of(adapter: WorkerAdapter) -> GpuPool | None:
    """The GPUs of this machine that an adapter hands out; None where it hands out none."""
    return adapter.gpus if isinstance(adapter, GpuAdapter) else None


def heed_requirements(adapter: WorkerAdapter, spec: JobSpec, tell: Tell) -> None:
    """Compare what chunks require with what the adapter has; say it where all workers are taken to have it.

    Raises:
        RequestError: A chunk requires more GPUs than the adapter hands out.
    """
    if isinstance(adapter, PlacingAdapter):
        return
    required = {chunk.id: spec.required_by(chunk) for chunk in spec.chunks}
    if (pool := gpus_of(adapter)) is not None:
        for chunk, requires in required.items():
            if requires.gpus > len(pool.names):
                raise RequestError(
                    f"Chunk {chunk} requires {requires.gpus} GPUs, and the adapter has {len(pool.names)} "
                    f"({', '.join(pool.names)}): name more in its setting gpus, or let the chunk require fewer"
                )
        required = {chunk: requires.model_copy(update={"gpus": 0}) for chunk, requires in required.items()}
    if asking := sum(requires.of_worker for requires in required.values()):
        what = "tags, GPUs or memory" if pool is None else "tags or memory"
        tell(
            f"{asking} chunks require {what}: this adapter does not choose among workers, and takes each "
            "of them to have what is required"
        )


def most_at_once(pool: GpuPool, spec: JobSpec) -> int:
    """How many of a job's chunks these GPUs take at a time."""
    least = min(max(1, spec.required_by(chunk).gpus) for chunk in spec.chunks)
    return max(1, pool.places // least)
