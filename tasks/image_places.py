"""Where images are written: in a folder of the attempt's own, or in their places. And how they get to their places."""

import asyncio
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger

from helios.job.own_file import is_shared, make_own
from helios.media.verify_images import other_images
from helios.models.image_pattern import ImagePattern
from helios.models.images import Known
from helios.models.spec import RenderJobChunk
from tasks.run.making_way import make_way
from tasks.run.run import Run

AT_ONCE = 50
"""Images that are moved before other work of the event loop has its turn."""


@dataclass(frozen=True)
class ImagePlace:
    """A folder into which a command writes images."""

    folder: Path
    """Where they are written."""
    final: Path
    """Where they lie once they are accepted."""
    pattern: ImagePattern
    """Their names."""
    own_name: str | None
    """The folder's name, where it is the attempt's own."""

    @classmethod
    def of(cls, chunk: RenderJobChunk, run: Run, folder: Path) -> "ImagePlace":
        """The place of a site's order."""
        final = run.identity.job.directory.output(chunk.output_file).parent
        assert chunk.images is not None  # noqa: S101  it writes images
        return cls(folder, final, chunk.images, None if folder == final else folder.name)

    @classmethod
    def of_name(cls, chunk: RenderJobChunk, run: Run, own_name: str | None) -> "ImagePlace":
        """The place by the name on record."""
        final = run.identity.job.directory.output(chunk.output_file).parent
        return cls.of(chunk, run, final if own_name is None else final / os.path.basename(own_name))

    def has(self, frame: int) -> bool:
        """Whether there is something with an image's name."""
        return os.path.lexists(self.folder / self.pattern.name(frame))

    def other_images(self, frames: range) -> tuple[list[str], list[str]]:
        """In an attempt's own folder, the images with a number that was not ordered, and all that were not."""
        if self.own_name is not None:
            with suppress(OSError):
                return other_images(os.listdir(self.folder), self.pattern, frames)
        return [], []

    def is_numbered_well(self, part: tuple[int, int]) -> bool:
        """Whether no image has a number outside the frames that were asked for: their first one, and their number."""
        return not self.other_images(range(part[0], sum(part)))[0]

    def make_own(self, frames: Iterable[int], run: Run) -> None:
        """Give each image a file of its own: links are replaced by what they lead to. Blocking.

        Raises:
            OutputError: One leads to no file.
            OSError: There is no room for a copy.
        """
        for frame in frames:
            with suppress(FileNotFoundError), run.outputs.held(self.folder / self.pattern.name(frame)) as held:
                if is_shared(held):
                    make_own(held, held.with_name(run.identity.own_place(self.final / held.name, "own").name))

    def keep_others(self, run: Run) -> None:
        """Move further files that the command wrote beside its images to where these lie.

        Raises:
            OutputError: One would replace another file of the job.
            OSError: One can't be moved.
        """
        if self.own_name is None:
            return
        for name in sorted(os.listdir(self.folder)):
            run.companions.move(self.folder / name, self.final / name)

    def remove(self, run: Run) -> None:
        """Remove an attempt's own folder, with what is left in it."""
        if self.own_name is not None:
            with suppress(OSError), run.outputs.held(self.folder) as held:
                shutil.rmtree(held)


def clear_places(place: ImagePlace, frames: range, *, kept: Collection[int], run: Run) -> None:
    """Make ready for a command: its own folder, or places without anything that might be taken for its work.

    Raises:
        OSError: That can't be done.
    """
    if place.own_name is not None:
        run.outputs.make_folder(place.folder)
        with suppress(OSError), run.outputs.held(place.folder) as held:
            held.chmod(stat.S_IMODE(place.final.stat().st_mode))  # commands may run as another user
        return
    for frame in frames:
        path = place.final / place.pattern.name(frame)
        if frame in kept or not os.path.lexists(path):
            continue
        make_way(path, run.outputs, get_run_logger())
        with run.outputs.held(path) as held:
            held.unlink(missing_ok=True)


async def move_images(place: ImagePlace, images: Mapping[int, Known], run: Run) -> None:
    """Give accepted images their names. Files that no job wrote are moved out of their way.

    Raises:
        OSError: One can't be moved.
    """
    for number, frame in enumerate(sorted(images)):
        target = place.final / place.pattern.name(frame)
        if place.own_name is not None:
            make_way(target, run.outputs, get_run_logger())
            with run.outputs.held(place.folder / target.name) as source, run.outputs.held(target) as held:
                source.replace(held)
        run.outputs.note(target)
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
