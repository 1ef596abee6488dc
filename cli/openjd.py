"""`helios-job openjd`: write a job document from a job template of Open Job Description."""

import json
from pathlib import Path
from typing import Any

import click

from cli.say import say
from helios.errors import RequestError
from helios.models.frame_numbers import MAX_FRAME


@click.command(
    epilog="""Example: helios-job openjd template.yaml -p Frames=1-48 --fps 24 --size 1280x720
    --output-pattern '{{Param.OutputDir}}/{{Param.OutputPattern}}.png' -o job.json"""
)
@click.argument("template", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Value of a job parameter; "
              "repeatable. [default: the template's]")  # fmt: skip
@click.option("--output-pattern", metavar="P", help="What the tasks write, relative to the job directory, with "
              "{{Param.NAME}} and {{Task.Param.NAME}} for parameters, and #### for each image's number.")  # fmt: skip
@click.option("--fps", required=True, help="Frames per second: 30, 29.97, 30000/1001, {{Param.FPS}}.")
@click.option("--size", required=True, metavar="WxH", help="Pixels: 1280x720, {{Param.Width}}x{{Param.Height}}.")
@click.option("--step", "steps", multiple=True, metavar="NAME", help="Take this step; repeatable. [default: all]")
@click.option("--task", "tasks", multiple=True, metavar="NAME=VALUE", help="Take the tasks with this value of a task "
              "parameter; repeatable.")  # fmt: skip
@click.option("--chunk-frames", type=click.IntRange(1, MAX_FRAME), help="Frames of a chunk at most. "
              "[default: as the template chunks tasks, else one]")  # fmt: skip
@click.option("--ignore-requirement", "ignored", multiple=True, metavar="NAME", help="Leave a host requirement out; "
              "repeatable.")  # fmt: skip
@click.option("--id", "job_id", metavar="NAME", help="The job's name: later runs reuse its chunks. "
              "[default: made of the content]")  # fmt: skip
@click.option("-o", "--out", "document", required=True, type=click.Path(path_type=Path), metavar="FILE.json",
              help="Where to write the document; its folder is the job directory.")  # fmt: skip
def openjd(**words: Any) -> None:
    """Write a job document from a template of Open Job Description.

    TEMPLATE is a job template (jobtemplate-2023-09), YAML or JSON. What a job document can't hold is refused by name.
    The template goes into a second file beside the document, FILE.openjd.json, which workers read.
    """
    from helios.openjd.plan import OpenjdOrder, plan_template  # imports the libraries

    order = OpenjdOrder(**words)
    if order.document.suffix != ".json":
        raise click.BadParameter(f"{order.document}; expected a name that ends in .json", param_hint="-o")
    planned = plan_template(order)
    _write(order.kept, planned.kept.model_dump(mode="json", exclude_none=True))
    _write(order.document, planned.spec.to_document())
    spec = planned.spec
    last = spec.ordered_chunks[-1]
    say(
        f"{order.document}: {spec.metadata.total_frames} frames ({spec.ordered_chunks[0].start_frame} to "
        f"{last.end_frame - 1}) in {len(spec.chunks)} chunks; {spec.chunks[0].output_file}",
        err=True,
    )
    for note in planned.notes:
        say(f"  {note}", err=True)


def _write(path: Path, document: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as exc:
        raise RequestError(f"{path} can't be written: {exc.strerror}; name another file (-o)") from None
