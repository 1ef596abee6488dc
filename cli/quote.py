"""`helios-job quote`: render a sample of three chunks, and say what the whole job takes."""

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cli.completing import complete_adapter
from cli.job_options import job_options, read_request, to_parameters
from cli.outcome import show_outcome
from cli.say import say
from cli.screen import FORMAT, QUIET, screen_options
from helios.errors import RequestError
from helios.models.cost_text import money
from helios.models.report import JobReport, RunState
from helios.models.report_text import duration
from helios.models.spec import JobSpec
from tasks.request.request import RenderRequest
from tasks.schedule.expectation import Piece
from tasks.schedule.quote import Quote, Range, Sampled, choose_sample, quote

if TYPE_CHECKING:  # it imports Prefect
    from farm.here import Outcome

ELSEWHERE = (10, 50, 200)
"""Chunks at a time for which a job on workers elsewhere is quoted, unless others are named."""
AT_ONCE = 3
"""Chunks of the sample at a time, on workers elsewhere; on this machine as many as a job has there."""
_OWN = ("adapter", "adapter_config", "concurrency", "seed", "as_json", "spec", QUIET, FORMAT)
_WITHOUT_VIDEO = {"output_file": None, "audio_file": None, "audio_codec": None, "fragments": None, "brand": None,
                  "metadata": None}  # fmt: skip


@click.command(
    "quote", epilog="Example: helios-job quote job.json --adapter aws-lambda --adapter cloud-run --concurrency 50"
)
@job_options(leave_out={"adapter", "concurrency", "chunks", "merge", "budget", "budget_stop", "deadline", "fresh"})
@click.option("--adapter", multiple=True, default=("local",), show_default=True, metavar="NAME",
              shell_complete=complete_adapter, help="Where the sample is rendered. Repeatable.")  # fmt: skip
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, where one is named. "
              "[default: the variable HELIOS_<NAME>_CONFIG]")  # fmt: skip
@click.option("--concurrency", type=click.IntRange(1, 10_000), multiple=True, metavar="N",
              help="Chunks at a time to quote for. Repeatable.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N",
              help="Decides which chunk is drawn.")  # fmt: skip
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def quote_command(
    adapter: tuple[str, ...], adapter_config: str | None, concurrency: tuple[int, ...], seed: int, as_json: bool,
    **words: Any,
) -> int:  # fmt: skip
    """Render a sample of three chunks, and say how long the job takes and what it costs.

    The sample has the first chunk, the middle one, and one that is drawn. SPEC is a path, a URL, or - for standard
    input. A run of a job with an id keeps the sample's chunks.
    """
    if len(set(adapter)) < len(adapter):
        raise RequestError(f"An adapter is named twice (--adapter {' --adapter '.join(adapter)}); expected each once")
    if adapter_config is not None and len(adapter) > 1:
        raise RequestError("--adapter-config is for one adapter, and several are named; give each its settings by a "
                           "variable, such as HELIOS_AWS_LAMBDA_CONFIG")  # fmt: skip
    given = {"concurrency": None, "chunks": (), "merge": False, "budget": None, "budget_stop": "finish",
             "deadline": None, "fresh": False, "adapter_config": adapter_config, **words}  # fmt: skip
    requests = {name: read_request({**given, "adapter": [name]}) for name in adapter}
    specs = [request.check() for request in requests.values()]  # of the same document, refused before anything runs
    spec = specs[0]
    sample = choose_sample([chunk.id for chunk in spec.ordered_chunks], seed=seed)
    quotes: list[dict[str, Any]] = []
    for name, request in requests.items():
        outcome = _render(request, sample, is_here=name == "local")
        if outcome.state is not RunState.COMPLETED or outcome.report is None:
            return show_outcome(*outcome, as_json=as_json)
        quotes += _quotes(name, outcome.report, spec, concurrency)
    best = min(quotes, key=lambda one: (round(one["cost"]["middle"], 9), one["seconds"]["middle"], one["concurrency"]))
    command = _command(click.get_current_context(), best)
    _show(spec, sample, quotes, command, seed=seed, as_json=as_json)
    return 0


def _render(request: RenderRequest, sample: list[int], *, is_here: bool) -> "Outcome":
    from cli.flow_process import run_job  # imports Prefect

    at_once = None if is_here else AT_ONCE
    given = to_parameters(replace(request, chunks=sample, concurrency=at_once, hedge=0.0, audit=0.0))
    return run_job({**given, **_WITHOUT_VIDEO}, title="sample")


def _quotes(name: str, report: JobReport, spec: JobSpec, wanted: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    frames = {chunk.id: chunk.frame_count for chunk in spec.chunks}
    sampled = [
        Sampled(
            frames[chunk.id],
            seconds=next(one.seconds for one in reversed(chunk.timeline) if one.outcome is RunState.COMPLETED),
            cost=sum(one.cost or 0.0 for one in chunk.timeline),
        )
        for chunk in report.chunks
    ]
    pieces = [Piece(chunk.id, chunk.frame_count) for chunk in spec.ordered_chunks]
    for slots in wanted or _usual(name, len(pieces)):
        found: Quote = quote(pieces, sampled, slots=slots)
        yield {
            "adapter": name,
            "concurrency": slots,
            "seconds": asdict(found.seconds),
            "cost": asdict(found.cost),
            "currency": report.cost.currency if report.cost else None,
            "runId": report.run_id,
        }


def _usual(name: str, chunks: int) -> list[int]:
    """Chunks at a time to quote for, where nobody names numbers: no more than there are chunks."""
    numbers = (os.cpu_count() or 1,) if name == "local" else ELSEWHERE
    return sorted({min(number, chunks) for number in numbers})


def _command(context: click.Context, best: dict[str, Any]) -> str:
    """The command of the run: as the quote was asked for, with the adapter and the number that are best."""
    words = ["helios-job", "run", str(context.params["spec"])]
    for option in context.command.params:
        name, value = str(option.name), context.params.get(str(option.name))
        if name in _OWN or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        flag = option.opts[0]
        if isinstance(value, bool):
            words.append(flag if value else option.secondary_opts[0])
        else:
            words += [word for one in (value if isinstance(value, tuple) else (value,)) for word in (flag, str(one))]
    words += ["--adapter", best["adapter"], "--concurrency", str(best["concurrency"])]
    if context.params["adapter_config"] is not None:
        words += ["--adapter-config", context.params["adapter_config"]]
    return shlex.join(words)


def _show(
    spec: JobSpec, sample: list[int], quotes: list[dict[str, Any]], command: str, *, seed: int, as_json: bool
) -> None:
    kept = spec.id is not None
    if as_json:
        document = {"sample": sample, "seed": seed, "chunks": len(spec.chunks), "quotes": quotes,
                    "keepsSample": kept, "command": command}  # fmt: skip
        say(json.dumps(document, indent=2, ensure_ascii=False))
        return
    ids = ", ".join(map(str, sample))
    say(f"Sample: {len(sample)} of {len(spec.chunks)} chunks ({ids}; seed {seed})")
    for one in quotes:
        seconds, cost = Range(**one["seconds"]), Range(**one["cost"])
        price = f", {_money(cost, one['currency'])}" if one["currency"] else ""
        took = f"{duration(seconds.middle)} ({duration(seconds.low)} to {duration(seconds.high)})"
        say(f"  {one['adapter']}, {one['concurrency']} at a time: {took}{price}")
    say("The ranges hold nine times in ten, if the other chunks differ as these do. Start and join come on top.")
    if kept:
        say(f"The run that keeps the sample's chunks:\n  {command}")
    else:
        say(f"The document has no id: a run renders the sample's chunks again, unless you give it one:\n  {command}")


def _money(cost: Range, currency: str) -> str:
    return f"{money(cost.middle, currency)} ({money(cost.low, currency)} to {money(cost.high, currency)})"
