"""Files that one command of a test run has rendered, for the commands after it: encoding takes a second with NumPy."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def rendered_once(shared: Path | None, *what: object, output: Path, render: Callable[[Path], object]) -> None:
    """Write a file, as a copy if this test run has rendered the same before.

    Args:
        shared: The folder of what was rendered; None renders each time.
        what: All that the file depends on, beside its extension.
        output: The file.
        render: Writes it.
    """
    if shared is None:
        render(output)
        return
    kept = shared / "clips" / (hashlib.sha256(repr(what).encode()).hexdigest() + output.suffix)
    if kept.exists():
        shutil.copyfile(kept, output)
        return
    render(output)
    kept.parent.mkdir(exist_ok=True)
    beside = kept.with_name(f"{os.getpid()}-{kept.name}")
    shutil.copyfile(output, beside)
    beside.replace(kept)
