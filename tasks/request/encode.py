"""From what an encode is asked for to its job document: for the command line and for the flow."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from helios.encode.analysis import Analysis, Progress
from helios.encode.cutting import Cutting
from helios.encode.image_colours import colours_after, for_display, pixel_format
from helios.encode.image_files import find_images, is_images
from helios.encode.image_pack import packed
from helios.encode.kept_analysis import analysed
from helios.encode.plan import Frames, plan_encode, try_recipe
from helios.encode.probe import Row, pixel_format_of, probe, rate_text
from helios.encode.probe import Source as ProbedSource
from helios.encode.recipe import Recipe
from helios.errors import RequestError
from helios.media.containers import check_container, container_of
from helios.models.source import FrameTimes, Source

CODEC_NAMES = {"x264": "h264", "x265": "hevc", "svt-av1": "av1", "aom-av1": "av1"}
"""What FFmpeg calls what these encoders write."""


@dataclass(frozen=True)
class EncodeOrder:
    """What is asked for."""

    source: Path
    """The video to encode."""
    output: Path
    """The name of the video to write, which tells its container."""
    recipe: Recipe
    """How pictures are encoded."""
    cutting: Cutting
    """How it is cut."""
    fps: Fraction | None
    """A constant rate to bring it to."""
    sound: str
    """How the sound is written."""
    job_dir: Path
    """Where chunks lie."""
    compares: bool = False
    """Whether each chunk is held against its source."""


@dataclass(frozen=True)
class EncodeSource:
    """A source that was found fit to be looked at."""

    order: EncodeOrder
    """What is asked for, of one file."""
    name: str
    """The source's path in the job directory."""
    recipe: Recipe
    """How its pictures are encoded, with what their kind calls for."""
    probed: ProbedSource
    """What is known without a look."""

    @property
    def path(self) -> Path:
        """The file."""
        return self.order.source


def plan_of(order: EncodeOrder, *, tell: Callable[[str], None], on_picture: Progress | None = None) -> dict[str, Any]:
    """Look at the source, say what goes where, and write the job document.

    Args:
        order: What is asked for.
        tell: Called with lines for people.
        on_picture: Told how far the analysis is.

    Raises:
        RequestError: The source can't be encoded so; nothing was rendered.
    """
    source = open_order(order, tell=tell, on_picture=on_picture)
    try:
        analysis = analysed(
            source.path, job_dir=order.job_dir, with_scenes=order.cutting.needs_scenes, on_picture=on_picture
        )
    except OSError as exc:
        raise RequestError(f"The source's analysis can't be kept in {order.job_dir}: {exc.strerror}") from None
    return document_of(source, analysis, tell=tell)


def open_order(order: EncodeOrder, *, tell: Callable[[str], None], on_picture: Progress | None = None) -> EncodeSource:
    """Refuse what needs no look at all pictures, and put the source into the job directory: images as one file.

    Args:
        order: What is asked for.
        tell: Called with lines for people.
        on_picture: Told how many images were put into the file.

    Raises:
        RequestError: The source can't be encoded so.
    """
    order.recipe.check()
    container_of(order.output)
    check_container(order.output, CODEC_NAMES.get(order.recipe.codec, order.recipe.codec))
    if not is_images(order.source):
        if not order.source.is_file():
            raise RequestError(f"{order.source} is not a file; expected a video to encode")
        return _opened(order, recipe=order.recipe)
    if order.fps is None:
        raise RequestError(
            f"{order.source.name} is a sequence of images, which have no rate; name one, such as --fps 24"
        )
    images = find_images(order.source)
    _make_folder(order.job_dir)
    pack = packed(images, order.fps, job_dir=order.job_dir, on_picture=on_picture)
    form = pixel_format_of(pack)
    plain = replace(order.recipe, pix_fmt=pixel_format(order.recipe, form))
    tell(f"{images.pattern.name(images.first)} and {images.count - 1} more images are in {pack}")
    return _opened(replace(order, source=pack, recipe=plain), recipe=for_display(plain, source=form))


def _opened(order: EncodeOrder, *, recipe: Recipe) -> EncodeSource:
    probed = probe(order.source, order.output, order.recipe, sound=order.sound)
    return EncodeSource(order, _place(order.source, order.job_dir), recipe, probed)


def document_of(opened: EncodeSource, analysis: Analysis, *, tell: Callable[[str], None]) -> dict[str, Any]:
    """Try the encoder, cut the source, say what goes where, and write the job document.

    Args:
        opened: The source.
        analysis: What a look at all of it has found.
        tell: Called with lines for people.

    Raises:
        RequestError: The source can't be encoded so.
    """
    order, recipe = opened.order, opened.recipe
    frames = Frames(analysis, order.fps)
    size, sizes = try_recipe(order.source, frames, recipe), order.cutting.sizes(frames)
    rows = [
        replace(row, goes=colours_after(recipe)) if row.what == "colour" and recipe != order.recipe else row
        for row in opened.probed.rows
    ]
    for line in _table(order, analysis, frames, sizes, rows):
        tell(line)
    source = Source(
        file=opened.name,
        start=analysis.times[0] * analysis.tick,
        sound=order.sound if opened.probed.has_sound else "none",
        by_ranges=True,
        times=_times(frames),
    )
    spec = plan_encode(
        opened.name,
        frames,
        sizes,
        recipe=recipe,
        size=size,
        compares=order.compares,
        source=source.model_dump(mode="json", exclude_none=True),
    )
    return spec.to_document()


def _times(frames: Frames) -> FrameTimes | None:
    """The times that the frames keep, where there is no rate by which they could be computed."""
    analysis = frames.analysis
    if frames.fps is not None or analysis.rate is not None:
        return None
    ends = [*analysis.times[1:], analysis.end]
    return FrameTimes(
        tick=analysis.tick, steps=tuple(end - start for start, end in zip(analysis.times, ends, strict=True))
    )


def _make_folder(job_dir: Path) -> None:
    try:
        (job_dir / "chunks").mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RequestError(f"{job_dir} can't be used: {exc.strerror}; name another job directory (--job-dir)") from None


def _place(source: Path, job_dir: Path) -> str:
    """The source's path in the job directory: a link to it, unless it lies there itself.

    Raises:
        RequestError: There is something else of the link's name, or nothing can be written there.
    """
    _make_folder(job_dir)
    try:
        if source.is_relative_to(job_dir):
            return source.relative_to(job_dir).as_posix()
        link = job_dir / f"source{source.suffix.lower()}"
        if link.is_symlink() and os.readlink(link) == str(source):
            return link.name
        if os.path.lexists(link) and not link.is_symlink():
            raise RequestError(
                f"{link} is a file that this program did not make; name another job directory (--job-dir)"
            )
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    except OSError as exc:
        raise RequestError(f"{job_dir} can't be used: {exc.strerror}; name another job directory (--job-dir)") from None
    return link.name


def _table(
    order: EncodeOrder, analysis: Analysis, frames: Frames, sizes: Sequence[int], rows: Sequence[Row]
) -> list[str]:
    """What goes where, in columns."""
    rate = frames.rate
    times = f"{rate} fps" if order.fps or analysis.rate else "each frame keeps its time"
    length = f"{analysis.frames} frames, {rate_text(analysis.rate, mean=analysis.nominal)}"
    shortest, longest = float(min(sizes) / rate), float(max(sizes) / rate)
    chunks = f"{len(sizes)} chunks of {shortest:.1f} to {longest:.1f} s" if len(sizes) > 1 else "1 chunk"
    cut = order.cutting.where if order.cutting.where.isalpha() else f"every {order.cutting.where} s"
    every = [Row("frames", length, f"{sum(sizes)} frames, {times}; {chunks}, cut at {cut}"), *rows]
    wide = [max(len(getattr(row, column)) for row in every) for column in ("what", "source")]
    return [
        f"{order.source.name} → {order.output.name}",
        *(f"  {row.what:<{wide[0]}}  {row.source:<{wide[1]}}  → {row.goes}" for row in every),
    ]
