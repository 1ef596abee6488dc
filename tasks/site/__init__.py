"""Where chunks are rendered, as the flow sees it: this machine's disk, or artifact storage. Knows no Prefect."""

from collections.abc import Collection
from pathlib import Path

from helios.adapter import StorageAdapter, WorkerAdapter
from helios.job.directory import JobDirectory
from helios.models.spec import JobSpec
from tasks.site.local import LocalSite
from tasks.site.site import Attempt, Order, Site
from tasks.site.storage import StorageSite

__all__ = ["Attempt", "Order", "Site", "shares_disk", "site_of"]


def shares_disk(adapter: WorkerAdapter) -> bool:
    """Whether an adapter's workers see the files of this machine."""
    return not isinstance(adapter, StorageAdapter)


def site_of(
    adapter: WorkerAdapter, *, name: str, spec: JobSpec, source: str | None, directory: JobDirectory,
    written: Collection[Path], apart: str | None = None,
) -> Site:  # fmt: skip
    """The site of an adapter.

    Args:
        adapter: Runs the chunks.
        name: The job's, for people.
        spec: The job document.
        source: Its path or URL; None when it was given as an object.
        directory: The job directory.
        written: Files that the job writes.
        apart: Tells the site from others of the same job, which may have the same storage; None where it is the only
            one.

    Raises:
        RequestError: The input files can't be used.
    """
    if isinstance(adapter, StorageAdapter):
        return StorageSite(adapter, name=name, spec=spec, directory=directory, written=written, apart=apart)
    return LocalSite(adapter, spec=spec, directory=directory, source=source)
