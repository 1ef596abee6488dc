"""What `run` and `submit` take: the options of a job, and the flow's parameters that they make."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from cli.adapter_option import read_adapter
from cli.spec_argument import read_job
from helios.errors import RequestError
from helios.storage.urls import is_storage_url

C = TypeVar("C", bound=Callable[..., Any])

_SECONDS = click.FloatRange(min=0, min_open=True)
_OPTIONS = (
    click.argument("spec"),
    click.option("--adapter", default="local", show_default=True, metavar="NAME", help="Where chunks are rendered."),
    click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, as JSON or in a file. "
                 "[default: the variable HELIOS_<NAME>_CONFIG, such as HELIOS_AWS_LAMBDA_CONFIG]"),
    click.option("--concurrency", type=click.IntRange(1, 10_000),
                 help="Chunks at a time. [default: number of CPUs; 10 on workers elsewhere]"),
    click.option("--retries", default=2, show_default=True, type=click.IntRange(0, 100), help="Of a failed chunk."),
    click.option("--retry-delay", default=1.0, show_default=True, type=click.FloatRange(0, 3600), metavar="S",
                 help="Seconds before the first retry; each further pause is twice as long."),
    click.option("--environment-retries", default=5, show_default=True, type=click.IntRange(0, 1000),
                 help="Of a chunk whose environment failed, not its command."),
    click.option("--timeout", type=_SECONDS, metavar="S", help="Of a chunk, in seconds."),
    click.option("--stall-timeout", type=_SECONDS, metavar="S",
                 help="Stop a chunk after so many seconds without output or growth of its output file."),
    click.option("--job-dir", metavar="DIR", help="Where commands run and outputs lie. [default: SPEC's folder]"),
    click.option("--output", metavar="FILE|URL",
                 help="The stitched video, also s3:// or gs://. [default: as SPEC says]"),
    click.option("--audio", metavar="FILE", help="The stitched video's sound track. [default: the chunks' own sound]"),
    click.option("--no-merge", is_flag=True, help="Render the chunks, join nothing."),
    click.option("--merge-adapter", metavar="NAME", help="Where SPEC's merge command runs. [default: as --adapter]"),
    click.option("--chunk", "chunk_ids", type=int, multiple=True, metavar="ID",
                 help="Render this chunk alone. Repeatable."),
    click.option("--fresh", is_flag=True, help="Render chunks again that an earlier run of the job accepted."),
    click.option("--overwrite/--no-overwrite", default=None,
                 help="Whether a video that is there already is replaced. [default: yes; no by a schedule's runs]"),
    click.option("--overdue", type=_SECONDS, metavar="S", help="Say so when the job takes longer than this."),
    click.option("--webhook", metavar="URL", help="Tell of the job's end by a signed request."),
    click.option("--webhook-secret", metavar="BLOCK",
                 help="The Secret block that signs it. [default: the variable HELIOS_WEBHOOK_SECRET]"),
    click.option("--webhook-data", metavar="JSON", help="An object that is sent along."),
)  # fmt: skip


def job_options(command: C) -> C:
    """Give a command the argument SPEC and the options of a job."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def flow_parameters(words: Mapping[str, Any]) -> dict[str, Any]:
    """Make the options' values into the flow's parameters.

    Raises:
        HeliosError: The job document, or the adapter's settings, can't be read.
    """
    output, merge_adapter = words["output"], words["merge_adapter"]
    return {
        "job": read_job(words["spec"]),
        "adapter": read_adapter(words["adapter"], words["adapter_config"]),
        "concurrency": words["concurrency"],
        "retries": words["retries"],
        "retry_delay_seconds": words["retry_delay"],
        "environment_retries": words["environment_retries"],
        "chunk_timeout_seconds": words["timeout"],
        "stall_timeout_seconds": words["stall_timeout"],
        "job_dir": _absolute(words["job_dir"]),
        "output_file": output if output and is_storage_url(output) else _absolute(output),
        "merge": not words["no_merge"],
        "merge_adapter": read_adapter(merge_adapter, None) if merge_adapter else None,
        "audio_file": _absolute(words["audio"]),
        "chunks": list(words["chunk_ids"]) or None,
        "fresh": words["fresh"],
        "overwrite": words["overwrite"],
        "overdue_seconds": words["overdue"],
        "webhook": words["webhook"],
        "webhook_secret": words["webhook_secret"],
        "webhook_data": _object("--webhook-data", words["webhook_data"]),
    }


_MADE_OF = {
    "adapter": ("adapter", "adapter_config"),
    "retry_delay_seconds": ("retry_delay",),
    "chunk_timeout_seconds": ("timeout",),
    "stall_timeout_seconds": ("stall_timeout",),
    "output_file": ("output",),
    "merge": ("no_merge",),
    "audio_file": ("audio",),
    "chunks": ("chunk_ids",),
    "overdue_seconds": ("overdue",),
}
"""The options of parameters that are not called as they are."""


def given(context: click.Context, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the flow's parameters that the command line names; the others are the deployment's to say."""

    def is_given(parameter: str) -> bool:
        options = _MADE_OF.get(parameter, (parameter,))
        return parameter == "job" or any(
            context.get_parameter_source(option) is ParameterSource.COMMANDLINE for option in options
        )

    return {name: value for name, value in parameters.items() if is_given(name)}


def _object(option: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as exc:
        raise RequestError(f"{option}: not JSON ({exc}); expected an object") from None
    if not isinstance(found, dict):
        raise RequestError(f'{option}: JSON, but no object; expected one such as {{"ticket": 17}}')
    return found


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))
