"""What the chunks of a job may write: videos, or the images of one sequence each with its frame's number."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from helios.errors import Problem
from helios.models.image_pattern import IMAGE_CODECS, MAX_IMAGES, ImagePattern, image_pattern

OTHER_IMAGES = frozenset({".tga", ".ppm", ".pgm", ".hdr", ".jxl", ".avif", ".heic", ".jp2", ".psd", ".svg"})
"""Extensions of files that hold one frame, and that are not verified here."""
RAW_STREAMS = frozenset(
    {".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".obu", ".av1", ".m1v", ".m2v", ".y4m", ".yuv", ".rgb", ".raw"}
)
"""Extensions of files without times: nothing says at which rate their frames are, nor in which order they are shown."""
KNOWN = ", ".join(IMAGE_CODECS)


class Writing(Protocol):
    """A chunk, as far as it writes."""

    @property
    def output_file(self) -> str:
        """What it writes."""
        ...

    @property
    def frame_count(self) -> int:
        """Its frames."""
        ...

    @property
    def end_frame(self) -> int:
        """One past the last frame."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is its output."""
        ...


def output_problems(chunks: Sequence[Writing], *, video: str | None, has_range_command: bool) -> Iterator[Problem]:
    """Say what is wrong with the names of the chunks' outputs.

    Args:
        chunks: As the document has them.
        video: The document's own output file.
        has_range_command: Whether it has a command for parts of chunks.
    """
    patterns: list[ImagePattern | None] = []
    alike: dict[str, list[Problem]] = {}
    for index, chunk in enumerate(chunks):
        path = f"chunks[{index}].outputFile"
        try:
            patterns.append(pattern := image_pattern(chunk.output_file))
        except ValueError as exc:
            patterns.append(None)
            found: Iterator[Problem] = iter([Problem(path, repr(chunk.output_file), str(exc))])
        else:
            found = _refused_kind(path, chunk) if pattern is None else _unfit(path, chunk, pattern)
        for problem in found:
            # A template that is wrong is so in each chunk, with other numbers.
            kind = re.sub(r"\d+", "", problem.found.replace(repr(chunk.output_file), "")) or problem.expected
            alike.setdefault(kind, []).append(problem)
    yield from map(_of_all, alike.values())
    if not alike:
        if has_range_command and patterns[0] is None:
            yield Problem("rangeCommand", "a command for parts of chunks", "outputs of images, such as shot_####.png")
        yield from chain(_mixed(patterns), _repeated(chunks, patterns, video))


def _of_all(problems: list[Problem]) -> Problem:
    """One problem for chunks that have the same: the widest of what they need is told."""
    told = max(problems, key=lambda problem: len(problem.expected))
    others = len(problems) - 1
    return replace(told, found=f"{told.found} (and so in {others} further chunks)") if others else told


def _refused_kind(path: str, chunk: Writing) -> Iterator[Problem]:
    extension = posixpath.splitext(chunk.output_file)[1].lower()
    if extension in RAW_STREAMS:
        expected = (
            "a file that says when its frames are shown: have the encoder write .mp4, .mkv or .mov (with ffmpeg the "
            "same -c:v, or -c copy, and that name)"
        )
        yield Problem(path, f"{chunk.output_file!r}, a raw stream without times", expected)
    if extension in OTHER_IMAGES:
        expected = f"a video file, such as .mp4 or .mov, or images of a kind that is verified here ({KNOWN})"
        yield Problem(path, f"{chunk.output_file!r}, an image", expected)


def _unfit(path: str, chunk: Writing, pattern: ImagePattern) -> Iterator[Problem]:
    """A pattern without a field for several frames, or with one that is too narrow."""
    if chunk.frame_count > 1 and pattern.digits is None:
        if posixpath.splitext(chunk.output_file)[1].lower() == ".webp":
            what = "a video file such as .mp4 (an animated WebP is not verified here)"
        else:
            what = "a video file, such as .mp4 or .mov, or a chunk of one frame"
        stem, extension = posixpath.splitext(chunk.output_file)
        expected = f"the number of each frame in the name, such as {stem + '_####' + extension!r}; or {what}"
        yield Problem(path, f"{chunk.output_file!r}, an image, for {chunk.frame_count} frames", expected)
    elif not pattern.holds(last := chunk.end_frame - 1):
        wide = "#" * len(str(last))
        yield Problem(path, f"{chunk.output_file!r}, too narrow for frame {last}", f"{wide} or %0{len(wide)}d")


def _mixed(patterns: list[ImagePattern | None]) -> Iterator[Problem]:
    """Jobs of images and of videos: neither a sequence nor a video is whole then."""
    kinds = [pattern is not None for pattern in patterns]
    if len(set(kinds)) > 1:
        index = kinds.index(not kinds[0])
        one, other = ("images", "a video") if kinds[0] else ("a video", "images")
        yield Problem(f"chunks[{index}].outputFile", f"{other}, where chunks[0] writes {one}", "one kind of output")


def _repeated(chunks: Sequence[Writing], patterns: list[ImagePattern | None], video: str | None) -> Iterator[Problem]:
    """Outputs that are one file. A sequence's pattern may be that of several chunks: their frames differ."""
    count = sum(chunk.frame_count for chunk, one in zip(chunks, patterns, strict=True) if one)
    if count > MAX_IMAGES:
        yield Problem("chunks", f"{count} images", f"at most {MAX_IMAGES} in a job: make several of it")
        return
    first: dict[str, str] = {}
    if video is not None:
        first[posixpath.normpath(video)] = "outputFile"
    for index, chunk in enumerate(chunks):
        for file in chunk.files:
            path = posixpath.normpath(file)
            if path in first:
                found = f"{file!r}, as in {first[path]}"
                yield Problem(f"chunks[{index}].outputFile", found, "an output file of its own")
                break
            first[path] = f"chunks[{index}]"
