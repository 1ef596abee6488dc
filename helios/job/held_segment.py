"""Write segments below a job directory, in a process that holds their folder itself; see `helios.job.held_join`."""

from pathlib import Path
from typing import Any

from helios.job.held_path import held_path
from helios.media.segment import Written, write_segment
from helios.media.segment_sound import write_sound


def write_segment_held(
    chunk: Path, *, root: Path, place: Path, header: str | None, sound: str | None, **order: Any
) -> Written:
    """Write a chunk as a segment, as `write_segment`.

    Args:
        chunk: The chunk's file.
        root: The job directory, without links in its path.
        place: The segment.
        header: The name of the initialization segment beside it; None where it is there already.
        sound: The name of the file of sound beside it, if there is one.
        order: The other arguments of `write_segment`.

    Raises:
        OutputError: As `write_segment`.
        OSError: As `write_segment` and `held_path`.
    """
    with held_path(place, root=root, make=True) as held:
        return write_segment(
            chunk,
            place=held,
            header=None if header is None else held.with_name(header),
            sound=None if sound is None else held.with_name(sound),
            **order,
        )


def write_sound_held(sound: Path, *, root: Path, place: Path, **order: Any) -> bool:
    """Lay a sound file, as `write_sound`, into the file `place`."""
    with held_path(place, root=root, make=True) as held:
        return write_sound(sound, place=held, **order)
