"""The places where a run's chunks are rendered, as a request names them: one adapter, or a list. Imports no Prefect."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from adapters import AdapterChoice, AdapterConfig, settings_of
from helios.errors import RequestError, SpecError
from helios.job.source import describe

MOST_PLACES = 20
"""In one list: more kinds of workers than there are adapters, twice over."""


class PlaceSettings(BaseModel):
    """One kind of workers among several."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="with a bound")

    adapter: AdapterConfig | Annotated[str, Field(min_length=1)] | dict[str, Any]
    """The adapter's name, its configuration, or a saved configuration."""
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    """Tells two places of the same adapter apart, in log, page and report. By default the adapter's name."""
    concurrency: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None
    """Chunks of this job that are there at a time; what the adapter knows of its workers when empty."""
    cost_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What an hour of one chunk's rendering costs there, in the currency of the prices; at 0 as its adapter costs."""

    @field_validator("adapter", mode="before")
    @classmethod
    def _of_a_type(cls, adapter: Any) -> Any:
        if isinstance(adapter, Mapping) and "type" not in adapter:  # else it would be local, the first that fits
            raise ValueError('settings with the adapter\'s name as type: {"type": "farm"}')
        return adapter

    @property
    def label(self) -> str:
        """The name that it has."""
        return self.name or str(settings_of(self.adapter).get("type", ""))


Entry = AdapterChoice | PlaceSettings
"""Of a list: an adapter, with or without a bound and a price."""
AdapterChoices = AdapterChoice | Sequence[Entry]
"""What the parameter `adapter` takes."""


def is_list(choice: AdapterChoices) -> bool:
    """Whether a request names a list of places."""
    return isinstance(choice, Sequence) and not isinstance(choice, str)


def read_places(choice: AdapterChoices) -> tuple[PlaceSettings, ...]:
    """The places that a request names, with their names.

    Raises:
        RequestError: The list is empty or too long, or two places have one name.
        SpecError: A bound or a price is none.
    """
    if not is_list(choice):
        return (_plain(choice),)
    entries: list[Any] = list(choice)
    if not 1 <= len(entries) <= MOST_PLACES:
        raise RequestError(f"The list of adapters has {len(entries)} entries; expected 1 to {MOST_PLACES} (--adapter)")
    places = [_read(number, entry) for number, entry in enumerate(entries, start=1)]
    for number, place in enumerate(places, start=1):
        first = next(at for at, other in enumerate(places, start=1) if other.label == place.label)
        if first != number:
            raise RequestError(
                f"Adapters {first} and {number} of the list are both called {place.label!r}; leave one out, or give "
                f'one a name that tells them apart: {{"adapter": …, "name": "{place.label}-2"}}'
            )
    return tuple(places)


def _plain(adapter: Any) -> PlaceSettings:
    """A place that says nothing of itself. What is wrong with its adapter is found where that is checked."""
    return PlaceSettings.model_construct(adapter=adapter)


def _read(number: int, entry: Any) -> PlaceSettings:
    if isinstance(entry, PlaceSettings):
        return entry
    if isinstance(entry, str | BaseModel) or (isinstance(entry, Mapping) and "type" in entry):
        return _plain(entry)
    try:
        return PlaceSettings.model_validate(entry)
    except ValidationError as exc:
        fields = "of an entry (see docs/adapters.md)"
        raise SpecError(f"adapter {number} of the list", describe(exc, of=fields)) from None
