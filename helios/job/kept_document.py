"""Keep a large job document in a file, for ways that bear small ones only.

JOB DIRECTORY/.helios/documents/DIGEST/NAME.json

Prefect's server refuses parameters of more than 512 KiB, and a document that comes from standard input, or as an
object, would be one of them. Here its path goes to Prefect instead.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helios.errors import RequestError
from helios.job.held_path import LinkedFolderError, held_path, read_own
from helios.models.paths import OWN_FOLDER

FOLDER = f"{OWN_FOLDER}/documents"
LARGE_BYTES = 256 * 1024
"""A document above this is kept in a file: half of what Prefect takes, since the other parameters take room too."""


def is_large(document: Mapping[str, Any]) -> bool:
    """Whether a document has to be kept in a file."""
    # Cheap for small jobs and for large ones: a chunk takes 60 bytes at least.
    chunks = document.get("chunks")
    if isinstance(chunks, list | tuple) and len(chunks) * 60 > LARGE_BYTES:
        return True
    return len(json.dumps(document, default=str)) > LARGE_BYTES


def keep_document(document: Mapping[str, Any], directory: Path) -> Path:
    """Write a document into a job directory; the same document has the same file.

    Returns:
        The file's absolute path.

    Raises:
        RequestError: It can't be written.
    """
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", str(document.get("id") or "job")).strip("-")[:60] or "job"
    path = directory.absolute() / FOLDER / hashlib.sha256(data).hexdigest()[:16] / f"{name}.json"
    root = directory.resolve()
    own = root / path.relative_to(directory.absolute())  # by the folder's own path: no link below it is followed
    try:
        if not _is_kept(own, data, root=root):
            with held_path(own, root=root, make=True) as held:
                beside = held.with_name(f"{uuid.uuid4().hex[:12]}.tmp")
                beside.write_bytes(data)
                beside.replace(held)
    except OSError as exc:
        raise RequestError(
            f"The job document has {len(data) // 1024} KiB, more than a parameter may have, and can't be kept in "
            f"{path.parent} ({exc.strerror}); save it in a file, and give the file's path"
        ) from None
    return path


def _is_kept(path: Path, data: bytes, *, root: Path) -> bool:
    """Whether the file is there, and has this content: a command may have put another document in its place."""
    try:
        return read_own(path, root=root) == data
    except LinkedFolderError:
        raise
    except OSError:
        return False
