"""The options --adapter and --adapter-config of the commands."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from adapters import BUILT_IN, AdapterConfig, adapter_names, check_adapter, settings_of
from helios.bounded_json import read_json
from helios.errors import RequestError
from helios.variables import ALLOW_INLINE, COMMAND_USER, PREFIX, PRICES, WEBHOOK_SECRET
from helios.worker.settings import VARIABLES
from tasks.request.block_names import names_block
from tasks.request.places import AdapterChoices, read_places

MAX_CHARACTERS = 1024 * 1024
"""Of a file with an adapter's settings; what is longer, such as a device that never ends, is no JSON."""
KNOWN: TypeAdapter[BaseModel] = TypeAdapter(AdapterConfig)


def config_variable(name: str) -> str:
    """The variable with an adapter's settings, such as HELIOS_AWS_LAMBDA_CONFIG."""
    return f"{PREFIX}{name.upper().replace('-', '_')}_CONFIG"


def known_variables() -> set[str]:
    """Every variable of helios-render: of the commands, of jobs, and of workers, which may be this process."""
    return {*map(config_variable, adapter_names()), WEBHOOK_SECRET, COMMAND_USER, ALLOW_INLINE, PRICES, *VARIABLES}


def read_adapter(name: str, config: str | None) -> str | dict[str, Any] | BaseModel:
    """Make the two options into what the flow takes.

    Args:
        name: The adapter's name.
        config: Its settings as JSON, or @ and a file with them; by default the variable HELIOS_<NAME>_CONFIG.

    Raises:
        RequestError: The settings can't be read, are no JSON object, or are none of the adapter's.
    """
    variable = config_variable(name)
    source = "--adapter-config"
    if config is None and (config := os.environ.get(variable)) is not None:
        source = variable
    if config is None:
        return name
    try:
        text = _read_file(Path(config[1:])) if config.startswith("@") else config
        settings = read_json(text)
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RequestError(f"{source} {config}: can't be read ({reason}); expected a JSON file") from None
    except ValueError as exc:
        raise RequestError(f"{source}: not JSON ({exc}); expected an object, or @ and a file's path") from None
    if not isinstance(settings, dict):
        raise RequestError(f'{source}: JSON, but no object; expected an object such as {{"storage": "s3://…"}}')
    try:
        # As a model, since Prefect shows a run's parameters, and models mask their secrets.
        return KNOWN.validate_python({"type": name, **settings})
    except ValidationError:
        return _of_another_kind({"type": name, **settings}, source)


def read_adapters(names: Sequence[str], config: str | None) -> AdapterChoices:
    """Make the options into what the flow takes, where --adapter may be repeated, and its settings may be a list.

    Args:
        names: The adapters' names.
        config: The settings of one adapter, or a list of several with their bounds; by default each adapter's variable.

    Raises:
        RequestError: As `read_adapter`, or the list is not sound, or does not fit the names.
    """
    listed = None if config is None else _read_list(config)
    if listed is None and len(names) == 1:
        return read_adapter(names[0], config)
    if listed is None and config is not None:
        raise RequestError(
            f"--adapter-config has the settings of one adapter, and --adapter names {len(names)}; expected a list: "
            '[{"adapter": "local", "concurrency": 2}, {"adapter": {"type": "farm"}, "concurrency": 10}]'
        )
    for number, entry in enumerate(listed or (), start=1):
        if isinstance(entry, str) and entry.partition("/")[0] not in adapter_names():  # it may be a secret
            raise RequestError(
                f"--adapter-config: entry {number} of the list is no object, and names no adapter. Known: "
                f"{', '.join(adapter_names())}"
            )
    places = read_places(list(names) if listed is None else listed)
    found = [place.model_copy(update={"adapter": _read_entry(place.adapter)}) for place in places]
    kinds = [str(settings_of(place.adapter)["type"]).partition("/")[0] for place in found]
    if listed is not None and list(names) not in ([], ["local"], kinds):
        raise RequestError(
            f"--adapter names {', '.join(names)}, and --adapter-config lists {', '.join(kinds)}; expected the same, or "
            "--adapter-config alone"
        )
    read_places(found)
    return found


def _read_list(config: str) -> list[Any] | None:
    """Settings that are a list; None for others, also for those that can't be read: `read_adapter` tells of these."""
    try:
        found = read_json(_read_file(Path(config[1:])) if config.startswith("@") else config)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) else None


def _read_entry(choice: Any) -> str | dict[str, Any] | BaseModel:
    if isinstance(choice, str):
        return choice if names_block(choice) else read_adapter(choice, None)
    if not isinstance(choice, Mapping):
        return cast(BaseModel, choice)
    try:
        return KNOWN.validate_python(choice)
    except ValidationError:
        return _of_another_kind(dict(choice), "--adapter-config")


def _read_file(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        text = file.read(MAX_CHARACTERS + 1)
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{path} has more than {MAX_CHARACTERS} characters")
    return text


def _of_another_kind(choice: dict[str, Any], source: str) -> dict[str, Any]:
    """A third party's adapter, which may be on the worker's machine alone, or settings that name Prefect's blocks.

    Raises:
        RequestError: It is neither, and so wrong.
    """
    if choice.get("type") in {*BUILT_IN, None} and not names_block(choice):
        try:
            check_adapter(choice)
        except RequestError as exc:
            raise RequestError(f"{source}: {exc}") from None
    return choice
