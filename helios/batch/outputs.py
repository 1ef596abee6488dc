"""Which files of a job directory batches write, so that no row takes the outputs of another one for its inputs.

JOB DIRECTORY/.helios/batch-outputs, one relative name a line. It only grows: rows that have left the table, or that
another batch renders in the same folder, leave their files there.
"""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path

from helios.errors import RequestError
from helios.job.held_path import held_path, read_own
from helios.models.paths import OWN_FOLDER

OTHER_ROWS = "@other-rows"
"""Stands in a row's `exclude` for the files that are listed here."""
_LIST = Path(OWN_FOLDER) / "batch-outputs"


def list_outputs(directory: Path) -> frozenset[Path]:
    """The outputs of batches, as paths below a job directory's own path.

    Raises:
        OSError: The list can't be read, or is a link.
    """
    try:
        names = read_own(directory / _LIST, root=directory).decode("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError:
        return frozenset()
    return frozenset(directory / name for name in names if name)


def add_outputs(names: Iterable[str], directory: Path) -> None:
    """Add names to a job directory's list.

    Args:
        names: Relative to the directory.
        directory: The job directory, without links in its path.

    Raises:
        RequestError: The list can't be written.
    """
    try:
        known = {os.path.relpath(path, directory) for path in list_outputs(directory)}
        if known.issuperset(names := frozenset(names)):
            return
        data = "\n".join(sorted(known | names)).encode("utf-8", "surrogateescape")
        with held_path(directory / _LIST, root=directory, make=True) as held:
            beside = held.with_name(f"{uuid.uuid4().hex[:12]}.tmp")
            beside.write_bytes(data)
            beside.replace(held)
    except OSError as exc:
        raise RequestError(
            f"The outputs of the batch can't be listed in {directory / _LIST} ({exc.strerror}); make it writable"
        ) from None
