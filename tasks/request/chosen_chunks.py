"""The chunks that a request names."""

from collections.abc import Sequence

from helios.errors import Problem, SpecError
from helios.models.spec import JobSpec, RenderJobChunk


def select_chunks(spec: JobSpec, chunk_ids: Sequence[int] | None) -> tuple[RenderJobChunk, ...]:
    """The chunks with some ids, in frame order; all of them for None.

    Raises:
        SpecError: There is no such chunk.
    """
    if chunk_ids is None:
        return spec.ordered_chunks
    known = {chunk.id for chunk in spec.chunks}
    if unknown := sorted(set(chunk_ids) - known):
        problem = Problem("chunks", f"no chunk has the id {unknown[0]}", f"one of {_range(known)}")
        raise SpecError("job", (problem,))
    return tuple(chunk for chunk in spec.ordered_chunks if chunk.id in set(chunk_ids))


def _range(ids: set[int]) -> str:
    if ids == set(range(min(ids), max(ids) + 1)) and len(ids) > 2:
        return f"{min(ids)} to {max(ids)}"
    ordered = sorted(ids)
    return ", ".join(map(str, ordered[:10])) + (", …" if len(ordered) > 10 else "")
