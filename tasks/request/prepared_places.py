"""The places of a job, found and opened as far as that can be done before it runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters import create_adapter, limit_name
from helios.adapter import NamesVariables, StorageAdapter, WorkerAdapter
from helios.job.directory import JobDirectory
from helios.models.spec import JobSpec
from helios.processes.environment import TEMPORARY
from helios.storage.folder import Storage
from helios.storage.urls import split_url
from tasks.request.places import AdapterChoices, PlaceSettings, is_list, read_places
from tasks.site import Site, shares_disk, site_of


@dataclass(frozen=True)
class PreparedPlace:
    """One kind of workers that renders chunks of a job."""

    name: str
    """Its name: in log, page and report."""
    adapter_name: str
    """The adapter's name."""
    adapter: WorkerAdapter
    """Runs the chunks."""
    site: Site
    """Where they are rendered."""
    limit: str
    """Name of the global concurrency limit whose slots its attempts take, where there is one."""
    concurrency: int | None = None
    """Chunks of this job that it has at a time; None for what the site says."""
    cost_per_hour: float = 0.0
    """What an hour of one chunk's rendering costs."""


def prepare_places(
    choice: AdapterChoices, *, name: str, spec: JobSpec, source: str | None, directory: JobDirectory,
    written: Collection[Path],
) -> tuple[PreparedPlace, ...]:  # fmt: skip
    """Create the adapters that a request names, and their sites.

    Args:
        choice: One adapter, or a list, with no blocks in it.
        name: The job's, for people.
        spec: The job document.
        source: Its path or URL; None when it was given as an object.
        directory: The job directory.
        written: Files that the job writes.

    Raises:
        HeliosError: An adapter, or the input files, can't be used.
    """
    places = read_places(choice)

    def prepare(place: PlaceSettings) -> PreparedPlace:
        adapter_name, adapter = create_adapter(place.adapter)
        apart = place.label if len(places) > 1 else None
        site = site_of(
            adapter, name=name, spec=spec, source=source, directory=directory, written=written, apart=apart
        )  # fmt: skip
        return PreparedPlace(
            name=place.label if is_list(choice) else adapter_name,
            adapter_name=adapter_name,
            adapter=adapter,
            site=site,
            limit=limit_name(place.adapter),
            concurrency=place.concurrency if is_list(choice) else None,
            cost_per_hour=place.cost_per_hour if is_list(choice) else 0.0,
        )

    return tuple(map(prepare, places))


def merge_adapter_of(places: Sequence[PreparedPlace]) -> WorkerAdapter:
    """Runs the job's own merge command: where the outputs are, which is this machine."""
    return next((place for place in places if shares_disk(place.adapter)), places[0]).site.merge_adapter


def storage_of(places: Sequence[PreparedPlace], url: str) -> Storage:
    """A folder in storage, with the rights of the place that has its own storage in the same bucket, if one does."""
    bucket = split_url(url)[0]
    near = (
        place
        for place in places
        if isinstance(place.adapter, StorageAdapter) and split_url(place.adapter.storage.url)[0] == bucket
    )
    return next(near, places[0]).site.storage_at(url)


def inputs_of(places: Sequence[PreparedPlace], spec: JobSpec) -> tuple[tuple[str, ...] | None, str]:
    """Patterns of what the chunks are rendered from, where the document does not say; None for everything.

    Returns:
        What workers elsewhere get; everything where a place shares this machine's disk. And the setting's name.
    """
    found: list[str] = []
    for place in places:
        if not isinstance(place.adapter, StorageAdapter):
            return None, "inputs"
        if place.adapter.assets is None and spec.assets_url is None:
            return None, "assets"
        found += place.adapter.assets or ()  # with assetsUrl, nothing of the job directory gets to the workers
    return tuple(dict.fromkeys(found)), "assets"


def variables_of(places: Sequence[PreparedPlace]) -> Mapping[str, str]:
    """Variables that the places' settings name for commands. One that differs counts with each of its values."""
    found: dict[str, dict[str, list[str]]] = {}
    for place in places:
        variables = place.adapter.named_variables if isinstance(place.adapter, NamesVariables) else {}
        for name, value in variables.items():
            if name not in TEMPORARY:
                found.setdefault(name, {}).setdefault(value, []).append(place.name)
    return {
        name if len(values) == 1 else f"{name} ({', '.join(names)})": value
        for name, values in found.items()
        for value, names in values.items()
    }
