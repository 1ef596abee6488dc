"""`helios-job encode`: encode a video in chunks, and wait for it."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cli.completing import complete_file
from cli.job_options import given, job_options, read_each, read_request
from cli.run import render
from cli.say import say
from cli.screen import screen_options
from helios.encode.codecs import CODECS
from helios.encode.cutting import LONGEST, SHORTEST
from helios.errors import RequestError
from tasks.request.encode import plan_of
from tasks.request.encode_request import NOT_FOR_ENCODES, EncodeRequest


@click.command(epilog="Example: helios-job encode film.mkv -o film-av1.mkv --codec svt-av1 --crf 30 --preset 6")
@click.argument("source", metavar="INPUT", shell_complete=complete_file)
@click.option("-o", "short_output", metavar="FILE|URL", help="Short for --output.")
@click.option("--codec", type=click.Choice(list(CODECS)), default="svt-av1", show_default=True, help="The encoder.")
@click.option("--crf", metavar="N", help="Constant quality, on the encoder's scale. [default: the encoder's]")
@click.option("--preset", metavar="NAME", help="The encoder's preset; of ProRes and DNxHD the profile.")
@click.option("--pix-fmt", metavar="NAME", help="Pixel format. [default: the source's, or the nearest]")
@click.option("--params", metavar="K=V:K=V", help="The encoder's own settings.")
@click.option("--vf", metavar="FILTERS", help="FFmpeg's filters, such as scale=1280:-2,crop=1280:640.")
@click.option("--target", metavar="xpsnr=N", help="Chooses each chunk's --crf so that it has this quality, in dB.")
@click.option(
    "--threads", type=click.IntRange(0, 256), default=0, help="Of each chunk's encoder. [default: its choice]"
)
@click.option(
    "--fps", metavar="R", help="Of images; makes that of a video constant. [default: frames keep their times]"
)
@click.option("--cut", default="scenes", show_default=True, metavar="scenes|keyframes|S", help="Where chunks begin.")
@click.option("--shortest", type=click.FloatRange(0, min_open=True), metavar="S",
              help=f"Seconds of a chunk. [default: {SHORTEST:g}]")  # fmt: skip
@click.option("--longest", type=click.FloatRange(0, min_open=True), metavar="S",
              help=f"Seconds of a chunk. [default: {LONGEST:g}]")  # fmt: skip
@click.option("--audio", "sound", type=click.Choice(["copy", "aac", "opus", "flac", "none"]), default="copy",
              show_default=True, help="How the sound is written.")  # fmt: skip
@click.option("--emit", metavar="FILE", help="Write the job document, and encode nothing.")
@click.option("--deployment", metavar="NAME", help="Give it to the workers of a deployment, such as encode/local, and "
              "print its run's id.")  # fmt: skip
@job_options(leave_out=("spec", *NOT_FOR_ENCODES))
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def encode(
    source: str, short_output: str | None, as_json: bool, emit: str | None, deployment: str | None, **words: Any
) -> int:
    """Encode a video in chunks, as any job is rendered, and wait for its end.

    INPUT is a video file, or the name of a sequence of images such as shot_####.exr (with --fps). A video's sound,
    subtitles, chapters, attachments and metadata go to the output once, at the end.
    """
    output = short_output or words["output_file"]
    if output is None:
        raise click.UsageError("Name the video to write (-o FILE).")
    words["output_file"] = output
    if deployment is not None:
        return _submit(source, words, deployment, has_others=emit is not None or as_json)
    order = EncodeRequest.of({**words, "source": source}).order()
    document = plan_of(order, tell=lambda line: say(line, err=True), on_picture=_progress())
    place = order.job_dir / "job.json" if emit is None else Path(emit)
    _write(place, document)
    if emit is not None:
        say(f"{place}: helios-job run {place} --job-dir {order.job_dir} --output {output}", err=True)
        return 0
    return render(read_request({**words, "spec": str(place), "job_dir": str(order.job_dir)}), as_json=as_json)


def _submit(source: str, words: dict[str, Any], deployment: str, *, has_others: bool) -> int:
    """Give an encode to workers: they look at the source, too. What is not said here is as the deployment says."""
    if has_others:
        raise click.UsageError(
            "Leave out --emit and --json with --deployment: helios-job wait RUN --json has the report."
        )
    import farm
    from cli.ask import ask

    request = read_each(words)
    encode = EncodeRequest.of({**words, "source": os.path.abspath(os.path.expanduser(source))})
    encode = replace(encode, output_file=request.output_file or "", job_dir=request.job_dir)
    encode.order()  # what can't be read is refused here
    own = {field.name: getattr(encode, field.name) for field in fields(EncodeRequest)}
    context = click.get_current_context()
    named = {name for name in own if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    others = {name: value for name, value in given(context, request).items() if name not in {"job", *own}}
    parameters = {name: own[name] for name in named | {"source", "output_file"}}
    parameters |= {name: others.pop(name) for name in ("adapter", "hand_overs") if name in others}
    if others:
        parameters["options"] = others
    run = ask(lambda client: farm.submit_encode(**parameters, deployment=deployment, client=client))
    say(run.id)
    return 0


def _write(place: Path, document: dict[str, Any]) -> None:
    try:
        place.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as exc:
        raise RequestError(
            f"{place} can't be written: {exc.strerror}; name another place (--job-dir, --emit)"
        ) from None


def _progress() -> Callable[[int, int], None] | None:
    """Says on a terminal how far the analysis is."""
    if not os.isatty(2):
        return None

    def tell(done: int, total: int) -> None:
        if done % 50 == 0:
            sys.stderr.write(f"\r\033[KLooking at the source: {done}{f' of {total}' if total else ''} pictures")
            sys.stderr.flush()
        if done == total:
            sys.stderr.write("\r\033[K")

    return tell
