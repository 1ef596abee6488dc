"""Join, rehearse and encode below a job directory, in a process that holds the video's folder itself.

The handle of a folder is good in one process alone: who reads for another process opens the folder anew, step by step,
without following links. So what a command put in the folder's place meanwhile is refused.
"""

from pathlib import Path
from typing import Any

from helios.job.held_path import held_path
from helios.media.animation import animate
from helios.media.image_encoding import encode_sequence
from helios.media.rehearsal import rehearse
from helios.media.stitching import FfmpegStitcher
from helios.models.report import OutputReport


def stitch_held(output: Path, *, root: Path, temporary: Path, **order: Any) -> OutputReport:
    """Join chunks as `FfmpegStitcher.stitch`.

    Args:
        output: The video.
        root: The job directory, without links in its path.
        temporary: Where it is written before it is whole, in the output's folder.
        order: The other arguments of `FfmpegStitcher.stitch`.

    Raises:
        HeliosError: As `FfmpegStitcher.stitch`.
        OSError: As `held_path`.
    """
    with held_path(temporary, root=root) as held:
        return FfmpegStitcher().stitch(output=output, temporary=held, **order)


def animate_held(joined: Path, *, root: Path, temporary: Path, **order: Any) -> OutputReport:
    """Encode an animation of a joined video as `animate`; both are in one folder."""
    with held_path(temporary, root=root) as held:
        return animate(held.with_name(joined.name), temporary=held, **order)


def encode_held(output: Path, *, root: Path, **order: Any) -> None:
    """Encode images as `encode_sequence`; `output` is where the video is written, whose folder is made.

    Raises:
        HeliosError: As `encode_sequence`.
        OSError: As `held_path`.
    """
    with held_path(output, root=root, make=True) as held:
        encode_sequence(output=held, **order)


def rehearse_held(output: Path, *, root: Path, temporary: Path, **order: Any) -> tuple[str, ...]:
    """Try a join out as `rehearse`; arguments and errors are as those of `stitch_held`."""
    with held_path(temporary, root=root) as held:
        return rehearse(output=output, temporary=held, **order)
