"""Keep a source's analysis beside its job: a second run, or one with other settings, doesn't read the file again."""

import json
import os
from pathlib import Path

from helios.encode.analysis import Analysis, Progress, analyse
from helios.models.paths import OWN_FOLDER

FILE = Path(OWN_FOLDER, "encode", "analysis.json")


def analysed(source: Path, *, job_dir: Path, with_scenes: bool, on_picture: Progress | None = None) -> Analysis:
    """The source's analysis: as it is kept, where the file is as it was; else made now, and kept.

    Args:
        source: The file.
        job_dir: Where it is kept.
        with_scenes: Whether scenes are needed.
        on_picture: Told how far it is.

    Raises:
        RequestError: As `helios.encode.analysis.analyse`.
        OSError: The file is gone, or nothing can be kept there.
    """
    place, sign = job_dir / FILE, _sign(source)
    found = _read(place, sign)
    if found is not None and (found.scenes is not None or not with_scenes):
        return found
    made = analyse(source, with_scenes=with_scenes, on_picture=on_picture)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps({"source": sign, "analysis": json.loads(made.to_json())}))
    unfinished.replace(place)
    return made


def _sign(source: Path) -> list[int | str]:
    """What differs when the file is another one, or was written to: also the time of its inode's last change."""
    found = source.stat()
    return [str(source.resolve()), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(place: Path, sign: list[int | str]) -> Analysis | None:
    try:
        kept = json.loads(place.read_text())
        return Analysis.from_json(json.dumps(kept["analysis"])) if kept["source"] == sign else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none, or not one of this program's
