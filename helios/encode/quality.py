"""Encode a chunk to a quality that was asked for, and hold it against its source."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av

from helios.encode.chunk import Range, encode_chunk, given_pictures
from helios.encode.recipe import Recipe
from helios.encode.score import Score, score_of
from helios.encode.target import Search, Target
from helios.errors import ExpectedError, RequestError
from helios.models.quality import ChunkQuality

OnFrame = Callable[[int], None]
OnProbe = Callable[[int, float | None], None]
"""Told the quantiser that was tried, and its score: None where that failed."""


@dataclass(frozen=True)
class Chosen:
    """The quantiser of a chunk."""

    recipe: Recipe
    """With the quantiser."""
    probes: int = 0
    """How many were tried."""
    failed: int = 0
    """How many of them gave no score."""


def choose_quantiser(source: Path, *, sample: Range, recipe: Recipe, suffix: str, on_probe: OnProbe) -> Chosen:
    """Find the largest quantiser with which a sample is good enough.

    A probe that fails is counted, and another quantiser tried; where all fail, the encoder's default is taken. So a
    chunk is encoded whatever becomes of its probes, and its score says what it is worth.

    Args:
        source: The video.
        sample: The pictures on which quantisers are tried.
        recipe: How; it has a target.
        suffix: Extension of a chunk's file.
        on_probe: Told what each probe gave.

    Raises:
        RequestError: The recipe has no target, or its codec no quantiser.
    """
    scale = recipe.quantisers
    if recipe.target is None or scale is None:
        raise RequestError(f"{recipe.codec} can't be encoded to a target {recipe.target}; expected --target xpsnr=N")
    search = Search(Target.parse(recipe.target).value, *scale)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"probe{suffix}")

        def probe(quantiser: int) -> float | None:
            own, found = replace(recipe, crf=str(quantiser)), None
            try:
                encode_chunk(source, place, part=sample, recipe=own)
                found = compared(source, place, part=sample, recipe=own).xpsnr
            except (ExpectedError, av.FFmpegError, OSError):
                pass
            on_probe(quantiser, found)
            return found

        found = search.find(probe)
    own = replace(recipe, crf=None if found is None else str(found))
    return Chosen(own, len(search.scores), search.failed)


def quality_of(
    source: Path, output: Path, *, part: Range, chosen: Chosen, on_frame: OnFrame | None = None
) -> ChunkQuality:
    """Hold an encoded chunk against its source.

    Args:
        source: The video.
        output: The chunk's file.
        part: The chunk's pictures.
        chosen: How it was encoded.
        on_frame: Called with the number of frames that were compared.

    Raises:
        OutputError: It can't be decoded, or shows other pictures.
    """
    recipe = chosen.recipe
    target = Target.parse(recipe.target) if recipe.target is not None else None
    found = compared(source, output, part=part, recipe=recipe, on_frame=on_frame)
    return ChunkQuality(
        metric="xpsnr",
        target=target.value if target else None,
        score=round(found.xpsnr, 3),
        crf=recipe.crf,
        probes=chosen.probes,
        failed_probes=chosen.failed,
        unlike_frames=found.unlike.count,
        unlike_frame=found.unlike.first,
        looks_like=found.unlike.like,
    )


def compared(source: Path, encoded: Path, *, part: Range, recipe: Recipe, on_frame: OnFrame | None = None) -> Score:
    """Compare a file with the source's pictures, filtered as the encoder was given them.

    Raises:
        OutputError: It can't be decoded, or shows other pictures.
    """
    with given_pictures(source, part=part, recipe=recipe) as given:
        return score_of((picture.frame for picture in given.pictures), encoded, on_frame=on_frame)
