"""The caller's side of each execution environment, found by name.

An adapter takes a frozen configuration model, `config_type`, whose `type` field is its name, and keeps the
contract of `helios.adapter.WorkerAdapter`. Third parties add theirs under the entry-point group
`helios.adapters`: the name, and the adapter's class. Adapters import helios and their own SDK, never Prefect.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from socket import gethostname
from typing import Any, ClassVar, Protocol, cast

from pydantic import BaseModel, ValidationError

from adapters.aws_lambda import AwsLambdaConfig
from adapters.cloud_run import CloudRunConfig
from adapters.cloud_run_job import CloudRunJobConfig
from adapters.farm_config import FarmConfig
from adapters.local import LocalAdapterConfig
from helios.adapter import WorkerAdapter
from helios.errors import RequestError, SpecError
from helios.job.source import describe

GROUP = "helios.adapters"
BUILT_IN = {
    "aws-lambda": "adapters.aws_lambda:AwsLambdaAdapter",
    "cloud-run": "adapters.cloud_run:CloudRunAdapter",
    "cloud-run-job": "adapters.cloud_run_job:CloudRunJobAdapter",
    "farm": "adapters.farm:FarmAdapter",
    "local": "adapters.local:LocalAdapter",
}
"""Name: module and class. An adapter's SDK, which takes up to a second to import, is imported when it is created."""

AdapterChoice = str | Mapping[str, Any] | BaseModel
"""An adapter's name, for its default configuration; or a configuration with the name as `type`."""
AdapterConfig = LocalAdapterConfig | FarmConfig | AwsLambdaConfig | CloudRunConfig | CloudRunJobConfig
"""The configurations of the built-in adapters. A plain union: Prefect's UI draws a tab for each."""

__all__ = [
    "BUILT_IN",
    "AdapterChoice",
    "AdapterConfig",
    "AdapterType",
    "LocalAdapterConfig",
    "adapter_names",
    "check_adapter",
    "create_adapter",
    "limit_name",
    "settings_of",
]


class AdapterType(Protocol):
    """What an adapter's class offers."""

    config_type: ClassVar[type[BaseModel]]
    """Its configuration: a frozen model."""

    def __call__(self, config: Any) -> WorkerAdapter:
        """Create an adapter from a configuration of `config_type`."""
        ...


def adapter_names() -> list[str]:
    """Every name that `create_adapter` knows."""
    return sorted({*BUILT_IN, *entry_points(group=GROUP).names})


def create_adapter(choice: AdapterChoice) -> tuple[str, WorkerAdapter]:
    """Create the adapter that a name or a configuration asks for.

    Returns:
        The name, and the adapter.

    Raises:
        HeliosError: As `check_adapter`; or what the adapter needs is missing (credentials, storage).
    """
    name, adapter_type, config = _find_with_config(choice)
    return name, adapter_type(config)


def check_adapter(choice: AdapterChoice) -> str:
    """Check a choice against the known adapters and their configurations; nothing is created or opened.

    Returns:
        The adapter's name.

    Raises:
        RequestError: The name is not known.
        SpecError: The configuration is refused; lists every reason.
    """
    return _find_with_config(choice)[0]


def _find_with_config(choice: AdapterChoice) -> tuple[str, AdapterType, BaseModel]:
    settings = settings_of(choice)
    name = settings.get("type")
    if not isinstance(name, str):
        raise RequestError(f"The adapter configuration has no type. Known: {', '.join(adapter_names())}.")
    adapter_type = _find(name)
    if "type" not in adapter_type.config_type.model_fields:
        settings.pop("type")
    try:
        config = adapter_type.config_type.model_validate(settings)
    except ValidationError as exc:
        fields = f"of this adapter (see {_page(name)})"
        raise SpecError(f"configuration of adapter {name}", describe(exc, of=fields)) from None
    return name, adapter_type, config


def _page(name: str) -> str:
    """Where an adapter's settings are described."""
    if name == "farm":
        return "docs/farm.md"
    return f"docs/adapters.md#{name}" if name in BUILT_IN else "its own documentation"


def settings_of(choice: AdapterChoice) -> dict[str, Any]:
    """A name or a configuration as settings, with the name as `type`."""
    if isinstance(choice, str):
        return {"type": choice}
    if isinstance(choice, BaseModel):
        return {field: getattr(choice, field) for field in type(choice).model_fields}
    return dict(choice)


def limit_name(choice: AdapterChoice) -> str:
    """The limit over all jobs that a name or a configuration asks for; by default one for each adapter.

    The limit of `local` has the machine's name, since it limits this machine's work.
    """
    settings = settings_of(choice)
    name = settings["type"]
    return str(
        settings.get("concurrency_limit") or (f"helios-{name}-{gethostname()}" if name == "local" else f"helios-{name}")
    )


def _find(name: str) -> AdapterType:
    if name in BUILT_IN:  # reading the entry points of all packages takes 60 ms
        point = EntryPoint(name, BUILT_IN[name], GROUP)
    elif third_party := tuple(entry_points(group=GROUP, name=name)):
        point = third_party[-1]
    else:
        raise RequestError(f"Unknown adapter {name!r}. Known: {', '.join(adapter_names())}.")
    try:
        return cast(AdapterType, point.load())
    except ImportError as exc:
        raise RequestError(f"The adapter {name!r} can't be loaded: {exc}. Install what it needs.") from exc
