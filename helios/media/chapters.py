"""The chapters of chunks, as chapters of the joined video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from av.container import InputContainer, OutputContainer

TICK = Fraction(1, 1_000_000_000)
"""Seconds; Matroska's unit. MP4 keeps times in 1/10,000,000 s."""
NEAR = Fraction(1, 100)
"""Seconds between two pieces of one chapter that was cut between two chunks."""


@dataclass(frozen=True)
class Chapter:
    """A chapter of a video."""

    start: Fraction
    """Seconds."""
    end: Fraction
    """Seconds."""
    tags: Mapping[str, str]
    """Its title, and what else is said about it."""

    def continues(self, before: Chapter) -> bool:
        """Whether both are pieces of one chapter."""
        title = self.tags.get("title")
        return bool(title) and title == before.tags.get("title") and abs(self.start - before.end) < NEAR


def chapters_of(file: InputContainer, *, at: Fraction, seconds: Fraction | None) -> list[Chapter]:
    """A chunk's chapters in the joined video's time.

    Args:
        file: The open chunk.
        at: Where it begins in the joined video, in seconds.
        seconds: Its length. What lies after its end is left out. None for a file of any length.
    """
    found = []
    for chapter in file.chapters():
        tick = chapter["time_base"] or TICK
        start, end = max(chapter["start"] * tick, Fraction(0)), chapter["end"] * tick
        end = end if seconds is None else min(end, seconds)
        if start < end:
            found.append(Chapter(at + start, at + end, chapter["metadata"]))
    return found


def lost_chapters(wanted: Sequence[Chapter], found: Sequence[Chapter]) -> list[str]:
    """Name what a file that was to have chapters does not have of them: `chapters (3, found: 0)`."""
    if len(found) < len(wanted):
        return [f"chapters ({len(wanted)}, found: {len(found)})"]
    lost = []
    for mine, its in zip(wanted, found, strict=False):
        title, other = mine.tags.get("title", ""), its.tags.get("title", "")
        if abs(mine.start - its.start) > NEAR:
            lost.append(f"chapter {title!r} at {float(mine.start):.3f} s (found: {float(its.start):.3f} s)")
        if title not in {"", other}:
            lost.append(f"chapter {title!r} (found: {other!r})")
        there = {key.lower(): value for key, value in its.tags.items()}
        lost += [
            f"tag {key} of chapter {title!r}"
            for key, value in mine.tags.items()
            if key != "title" and there.get(key.lower()) != value
        ]
    return lost


def extend(chapters: list[Chapter], more: Sequence[Chapter]) -> None:
    """Append the next chunk's chapters; a chapter that was cut between the two chunks is one again."""
    for number, chapter in enumerate(more):
        if number == 0 and chapters and chapter.continues(chapters[-1]):
            chapters[-1] = replace(chapters[-1], end=chapter.end)
        else:
            chapters.append(chapter)


def write_chapters(output: OutputContainer, chapters: Sequence[Chapter]) -> None:
    """Have a container end with these chapters; FFmpeg takes them until its trailer is written."""
    output.set_chapters(
        [
            {
                "id": number,
                "start": round(chapter.start / TICK),
                "end": round(chapter.end / TICK),
                "time_base": TICK,
                "metadata": dict(chapter.tags),
            }
            for number, chapter in enumerate(chapters, start=1)
        ]
    )
