"""Write a secret to a file."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file that no other user can read, at no moment, whatever was there before.

    Raises:
        OSError: It can't be written; what was there stays.
    """
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # is made with 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
