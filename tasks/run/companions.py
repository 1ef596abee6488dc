"""Further files that a chunk's command names after its output: part-0.wav beside part-0.mp4.

The command is given the attempt's private name, so they have that name too, and must follow the output.
"""

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from helios.errors import OutputError
from helios.job.own_outputs import OwnOutputs
from helios.models.paths import OWN_FOLDER
from tasks.prefect_api.log import RunLogger
from tasks.run.making_way import make_way


class Companions:
    """The companions of one run's outputs.

    Looking through a folder takes as long as it has files, so a chunk must not do it. The first accepted output in each
    folder shows which endings there are; they are looked for after that. What has another ending is found by `sweep`.

    Args:
        outputs: Knows which files may be replaced.
        taken: Absolute paths of files that the job writes or reads by their names, which no companion may replace.
        log: Told of files that had to make way.
    """

    def __init__(self, outputs: OwnOutputs, taken: Collection[str], log: RunLogger) -> None:
        self._outputs = outputs
        self._taken = taken
        self._log = log
        self._endings: dict[Path, set[str]] = {}
        """By folder, what follows the private name's stem."""
        self._accepted: dict[str, Path] = {}
        """By stem of the private name, the output."""
        self._failed: set[str] = set()
        """Stems of the private names of attempts that failed."""

    def accept(self, private: Path, output: Path) -> None:
        """Give the companions of an attempt's output the output's name, before the output itself gets it.

        Raises:
            OutputError: One would replace another file of the job.
            OSError: One can't be moved.
        """
        if private == output:
            return
        folder = private.parent
        if folder not in self._endings:
            self._endings[folder] = _endings_in(folder, private)
        self._accepted[private.stem] = output
        for ending in self._endings[folder]:
            self.move(folder / f"{private.stem}{ending}", folder / f"{output.stem}{ending}")

    def remove(self, private: Path, output: Path) -> None:
        """Remove the companions of an attempt that failed."""
        if private == output:
            return
        self._failed.add(private.stem)
        known = self._endings.get(private.parent)
        for ending in _endings_in(private.parent, private) if known is None else known:
            self._remove(private.with_name(f"{private.stem}{ending}"))

    def sweep(self) -> None:
        """Look through each folder once, after the last chunk, for companions with endings that the first had not.

        Raises:
            OutputError, OSError: As `accept`.
        """
        lengths = {len(stem) for stem in (*self._accepted, *self._failed)}
        for folder in {output.parent for output in self._accepted.values()}:
            for name in os.listdir(folder):
                for stem in (name[:length] for length in lengths if not _is_other(name[length:])):
                    if stem in self._failed:
                        self._remove(folder / name)
                    elif (output := self._accepted.get(stem)) is not None and output.parent == folder:
                        self.move(folder / name, folder / f"{output.stem}{name[len(stem) :]}")

    def move(self, source: Path, target: Path) -> None:
        """Give a further file, or a folder, its name; nothing happens where there is none.

        Raises:
            OutputError, OSError: As `accept`.
        """
        with self._outputs.held(source) as held:
            if not os.path.lexists(held):
                return
            if str(target) in self._taken or target.name == OWN_FOLDER:
                raise OutputError(
                    f"The command wrote {source.name} beside its output, which would get the name of {target}, another "
                    "file of this job: let the command name it otherwise, or name the output otherwise"
                )
            make_way(target, self._outputs, self._log)
            with self._outputs.held(target) as named:
                if named.is_dir() and not named.is_symlink():
                    shutil.rmtree(named)  # of an earlier run
                held.replace(named)
        self._outputs.note(target)

    def _remove(self, path: Path) -> None:
        with self._outputs.held(path) as held:
            if held.is_dir() and not held.is_symlink():
                shutil.rmtree(held, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    held.unlink()


def _endings_in(folder: Path, private: Path) -> set[str]:
    names = [name for name in os.listdir(folder) if name.startswith(private.stem) and name != private.name]
    return {ending for name in names if not _is_other(ending := name[len(private.stem) :])}


def _is_other(ending: str) -> bool:
    """Whether a name is of another attempt: the private name of attempt 12 begins as that of attempt 1."""
    return ending[:1].isdigit()
