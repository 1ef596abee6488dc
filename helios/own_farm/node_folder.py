"""What a node keeps on its machine, and the removal of what a node that was killed has left there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helios.processes.attempt_folder import LockedFolder, remove_abandoned
from helios.worker.runtime import ASSETS
from helios.worker.workspace import SPACES

NODES = "node"


@contextmanager
def node_folder(folder: Path) -> Iterator[Path]:
    """Have a folder for the engine's files within the block, after what dead nodes left was removed.

    Args:
        folder: The worker's folder (HELIOS_FOLDER); several nodes may share it.

    Raises:
        WorkerUnavailableError, RequestError: The system does not let it be made, now or at all.
    """
    remove_abandoned(folder / SPACES)
    remove_abandoned(folder / NODES)
    if not any((folder / NODES).glob("*")):  # no other node, which may be fetching files
        for path in (folder / ASSETS).glob(".*"):
            path.unlink(missing_ok=True)
    own = LockedFolder(folder / NODES)
    own.open()
    try:
        yield own.path
    finally:
        own.remove()
