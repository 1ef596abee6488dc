"""The name of a chunk's content in a cache of outputs: the same for all chunks that render the same file."""

import hashlib
import json
from collections.abc import Collection
from pathlib import PurePosixPath

from helios.models.spec import JobMetadata, RenderJobChunk

KEY_VERSION = 1
"""Part of every key. Increased when the same order begins to mean another output: no older entry is found then."""


def content_key(chunk: RenderJobChunk, metadata: JobMetadata, *, inputs: str) -> str:
    """Everything that decides what a chunk's command renders, as 64 hexadecimal digits.

    The command counts, without the output's name where that is a word of its own (or the end of a word such as
    `--output=NAME`; images have several spellings); of the name, the extension counts, by which programs choose a
    format. Where the name stands inside another word, such as a shell script, it is a part of the command. The chunk's
    frames, and the size and the rate of the video count. The ids of job and chunk, the order and the number of chunks,
    the job directory and the length of the video do not.

    Args:
        chunk: The chunk.
        metadata: The job's.
        inputs: A digest of everything else that the command reads.
    """
    names = {chunk.output_file} if chunk.images is None else {chunk.output_file, *chunk.images.spellings}
    order = {
        "version": KEY_VERSION,
        "command": [_without_name(word, names) for word in chunk.argv],
        "suffix": PurePosixPath(chunk.output_file).suffix,
        "frames": [chunk.start_frame, chunk.frame_count],
        "fps": str(metadata.fps),
        "size": [metadata.width, metadata.height],
        "inputs": inputs,
    }
    return hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()


def _without_name(word: str, names: Collection[str]) -> str | list[str]:
    """A word without the output's name: an array, which no word is, so that no other command has the same key."""
    for name in names:
        if word == name:
            return []
        if word.startswith("-") and word.endswith(f"={name}"):
            return [word[: -len(name)]]
    return word
