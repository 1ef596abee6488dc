"""Compare two versions of a job document."""

from pydantic.alias_generators import to_camel

from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.template import ChunkTemplate

SHOWN_CHARACTERS = 60
"""Characters of a long text that a difference quotes."""
SHOWN_BEFORE = 20
"""Of these, characters before the place where two texts begin to differ."""


def list_changes(before: JobSpec, now: JobSpec) -> list[str]:
    """Say in what the frames of two documents may differ, each difference with its path in the document.

    `inputs` and `revision` are not compared: what they stand for is (`helios.job.inputs`).
    """
    changes = [
        f"metadata.{to_camel(name)}: {_became(old, new)}"
        for name in ("total_frames", "fps", "width", "height")
        if (old := getattr(before.metadata, name)) != (new := getattr(now.metadata, name))
    ]
    if before.assets_url != now.assets_url:
        changes.append(f"assetsUrl: {_became(before.assets_url, now.assets_url)}")
    if before.grows or now.grows:  # what is rendered of such a job is on record by itself
        return changes + _template_changes(before.template, now.template)
    if len(before.chunks) != len(now.chunks):
        changes.append(f"chunks: {_became(len(before.chunks), len(now.chunks))}")
    for position, (old_chunk, new_chunk) in enumerate(zip(before.chunks, now.chunks, strict=False)):
        changes += [
            f"chunks[{position}].{to_camel(name)}: {_became(old, new)}"
            for name in RenderJobChunk.model_fields
            if name != "inputs" and (old := getattr(old_chunk, name)) != (new := getattr(new_chunk, name))
        ]
    return changes


def _template_changes(before: ChunkTemplate | None, now: ChunkTemplate | None) -> list[str]:
    """How the chunks of two templates differ; how long they are may change from run to run."""
    if before is None or now is None or (before.chunk_frames is None) != (now.chunk_frames is None):
        return ["template: chunks that are cut while they are rendered became others, or others became these"]
    return [
        f"template.{to_camel(name)}: {_became(old, new)}"
        for name in ("command", "output_file", "start_frame", "preroll")
        if (old := getattr(before, name)) != (new := getattr(now, name))
    ]


def _became(old: object, new: object) -> str:
    """Two values side by side; of long texts, the part where they begin to differ."""
    if not isinstance(old, str) or not isinstance(new, str):
        return f"{old} became {new}"
    same = next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(same - SHOWN_BEFORE, 0)
    return f"{_piece(old, start)} became {_piece(new, start)}"


def _piece(text: str, start: int) -> str:
    piece = text[start : start + SHOWN_CHARACTERS]
    return repr(f"{'…' if start else ''}{piece}{'…' if start + len(piece) < len(text) else ''}")
