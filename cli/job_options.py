"""The arguments of `run` and `submit`: the options of a job, and the request that they make."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cli.adapter_option import read_adapter, read_adapters
from cli.completing import complete_adapter, complete_file
from cli.spec_argument import read_job
from helios.bounded_json import read_json
from helios.errors import RequestError
from helios.media.sound_order import SoundCodec, SoundTracks
from helios.models.deadline import parse_deadline, refuse_past
from helios.models.frame_numbers import MAX_CHUNKS
from helios.models.verification import VerifyLevel
from helios.storage.urls import is_storage_url
from tasks.request.money import AFTER_BUDGET
from tasks.request.parameters import PARAMETERS
from tasks.request.request import LAST_CHUNK, RenderRequest

C = TypeVar("C", bound=Callable[..., Any])

_DEFAULTS = {field.name: field.default for field in fields(RenderRequest)}
_SECONDS = click.FloatRange(min=0, min_open=True)


@dataclass(frozen=True)
class _Option:
    """The option of one parameter: its form, and how its text becomes the parameter's value."""

    form: Mapping[str, Any]
    """Arguments of `click.option`."""
    convert: Callable[[Any], Any] = lambda value: value
    """Makes the option's value into the parameter's."""
    flags: str | None = None
    """The option's declaration, where it is more than its name."""
    help: str | None = None
    """The help, where the option says the opposite of the parameter."""


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))


def _video(output: str | None) -> str | None:
    return output if output and is_storage_url(output) else _absolute(output)


def _cache(place: str | None) -> str | None:
    return place if place is None or not place.strip() or "://" in place else _absolute(place)


def _moment(deadline: str | None) -> str | None:
    """A deadline with its time zone: workers may be in another one, and begin later."""
    if deadline is None:
        return None
    now = datetime.now().astimezone()
    at = parse_deadline(deadline, now)
    refuse_past(at, now)
    return at.isoformat(timespec="milliseconds")


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    option = PARAMETERS["webhook_data"].option
    try:
        found = read_json(text)
    except ValueError as exc:
        raise RequestError(f"{option}: not JSON ({exc}); expected an object") from None
    if not isinstance(found, dict):
        raise RequestError(f'{option}: JSON, but no object; expected one such as {{"ticket": 17}}')
    return found


def _pairs(words: tuple[str, ...]) -> dict[str, str] | None:
    option = PARAMETERS["metadata"].option
    for word in words:
        if "=" not in word:
            raise RequestError(f"{option} {word!r}: no =; expected KEY=VALUE, such as title='The film'")
    return {key: value for key, _, value in (word.partition("=") for word in words)} or None


_OPTIONS = {
    "concurrency": _Option({"type": click.IntRange(1, 10_000)}),
    "retries": _Option({"type": click.IntRange(0, 100)}),
    "retry_delay_seconds": _Option({"type": click.FloatRange(0, 3600), "metavar": "S"}),
    "environment_retries": _Option({"type": click.IntRange(0, 1000)}),
    "max_failed_chunks": _Option({"type": click.IntRange(0, MAX_CHUNKS), "metavar": "N"}),
    "chunk_timeout_seconds": _Option({"type": _SECONDS, "metavar": "S"}),
    "stall_timeout_seconds": _Option({"type": _SECONDS, "metavar": "S"}),
    "job_dir": _Option({"metavar": "DIR"}, _absolute),
    "output_file": _Option({"metavar": "FILE|URL"}, _video),
    "images_to": _Option({"metavar": "URL"}),
    "audio_file": _Option({"metavar": "FILE"}, _absolute),
    "audio_tracks": _Option({"type": click.Choice([one.value for one in SoundTracks]), "show_default": True}),
    "audio_codec": _Option({"type": click.Choice([codec.value for codec in SoundCodec])}),
    "fragments": _Option({"metavar": "keyframe|S"}),
    "brand": _Option({}),
    "metadata": _Option({"multiple": True, "metavar": "KEY=VALUE", "default": ()}, _pairs),
    "merge": _Option(
        {"is_flag": True, "default": False}, lambda no_merge: not no_merge, help="Render the chunks, join nothing."
    ),
    "merge_adapter": _Option({"metavar": "NAME"}, lambda name: read_adapter(name, None) if name else None),
    "chunks": _Option(
        {"type": int, "multiple": True, "metavar": "ID", "default": ()},
        lambda ids: list(ids) or None,
        help="Render this chunk alone, and join nothing. Repeatable. [default: all chunks]",
    ),
    "fresh": _Option({"is_flag": True}),
    "overwrite": _Option({}, flags="--overwrite/--no-overwrite"),
    "overdue_seconds": _Option({"type": _SECONDS, "metavar": "S"}),
    "webhook": _Option({"metavar": "URL"}),
    "webhook_secret": _Option({"metavar": "BLOCK"}),
    "webhook_data": _Option({"metavar": "JSON"}, _object),
    "verify": _Option({"type": click.Choice([level.value for level in VerifyLevel])}),
    "strict": _Option({"is_flag": True}),
    "audit": _Option({"type": click.FloatRange(0, 1), "metavar": "SHARE"}),
    "audit_psnr": _Option({"type": click.FloatRange(0), "metavar": "DB"}),
    "audit_seed": _Option({"type": click.IntRange(0), "metavar": "N"}),
    "hedge": _Option({"type": click.FloatRange(0, 1), "metavar": "SHARE"}),
    "budget": _Option({"type": click.FloatRange(min=0, min_open=True), "metavar": "AMOUNT"}),
    "budget_stop": _Option({"type": click.Choice(AFTER_BUDGET), "show_default": True}),
    "deadline": _Option({"metavar": "TIME|LENGTH"}, _moment),
    "cache": _Option({"metavar": "FOLDER|URL"}, _cache),
    "cache_size": _Option({"metavar": "SIZE", "show_default": True}),
    "last_chunk": _Option({"type": click.Choice(LAST_CHUNK)}),
    "revision": _Option({"metavar": "TEXT"}),
    "hand_overs": _Option({"type": click.IntRange(0, 100)}),
    "preview": _Option({"default": True, "show_default": True}, flags="--preview/--no-preview"),
}
"""By parameter. The job is the argument SPEC; the adapter has two options."""
_ADAPTER = (
    click.option("--adapter", multiple=True, default=["local"], show_default=True, metavar="NAME",
                 help="Where chunks are rendered. Repeatable: each chunk goes where it is expected to finish first.",
                 shell_complete=complete_adapter),
    click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, as JSON or in a file; or a "
                 "list of adapters with a bound and a price each. "
                 "[default: the variable HELIOS_<NAME>_CONFIG, such as HELIOS_AWS_LAMBDA_CONFIG]"),
)  # fmt: skip


def job_options(*, leave_out: Collection[str] = ()) -> Callable[[C], C]:
    """Give a command the argument SPEC and the options of a job, without some of them."""
    spec = () if "spec" in leave_out else (click.argument("spec", shell_complete=complete_file),)
    others = (_declare(name, option) for name, option in _OPTIONS.items() if name not in leave_out)
    options = [*spec, *(() if "adapter" in leave_out else _ADAPTER), *others]

    def give(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return give


def _declare(name: str, option: _Option) -> Callable[[Any], Any]:
    parameter, default = PARAMETERS[name], _DEFAULTS[name]
    form: dict[str, Any] = {
        "default": default,
        "show_default": isinstance(default, int | float) and default is not False,
        "help": option.help or parameter.help,
        **option.form,
    }
    return click.option(option.flags or str(parameter.option), name, **form)


def read_request(words: Mapping[str, Any]) -> RenderRequest:
    """Make the options' values into a request.

    Raises:
        HeliosError: Standard input, the adapter's settings, or the webhook's data can't be read.
    """
    return _request(read_job(words["spec"]), words)


def read_each(words: Mapping[str, Any]) -> RenderRequest:
    """Make the options' values into the request of several jobs, without a document.

    Raises:
        HeliosError: The adapter's settings, or the webhook's data can't be read.
    """
    return _request("", words)


def _request(job: str | Mapping[str, Any], words: Mapping[str, Any]) -> RenderRequest:
    return RenderRequest(
        job=job,
        adapter=read_adapters(words["adapter"], words["adapter_config"]),
        **{name: option.convert(words[name]) for name, option in _OPTIONS.items() if name in words},
    )


def to_parameters(request: RenderRequest) -> dict[str, Any]:
    """A request as the flow's parameters."""
    return {field.name: getattr(request, field.name) for field in fields(request)}


def given(context: click.Context, request: RenderRequest) -> dict[str, Any]:
    """The flow's parameters that the command line names; the deployment has the others."""

    def is_given(parameter: str) -> bool:
        options = ("adapter", "adapter_config") if parameter == "adapter" else (parameter,)
        return parameter == "job" or any(
            context.get_parameter_source(option) is ParameterSource.COMMANDLINE for option in options
        )

    return {name: value for name, value in to_parameters(request).items() if is_given(name)}
