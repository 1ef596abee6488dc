"""Let an output have its name: what a person has there makes way, and the log says so."""

from pathlib import Path

from helios.job.own_outputs import OwnOutputs, SetAside
from tasks.prefect_api.log import RunLogger


def make_way(path: Path, outputs: OwnOutputs, log: RunLogger) -> SetAside | None:
    """Move what has an output's name, and no job wrote, out of the way; None if there is no such file.

    Args:
        path: Where the output is to be.
        outputs: Knows which files jobs wrote.
        log: Told what was moved, and where it is.

    Raises:
        OSError: It can't be moved.
    """
    if (earlier := outputs.set_aside(path)) is not None:
        log.warning("%s", earlier)
    return earlier
