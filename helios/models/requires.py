"""What a chunk requires of the worker that renders it."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from helios.errors import RequestError
from helios.models.base import WireModel
from helios.sizes import parse_size

MAX_WORDS = 32
"""Tags, and licences, of one chunk or job."""
MAX_GPUS = 64
Tag = Annotated[str, Field(pattern=r"^[\w.+-]{1,64}$")]
"""A word that a machine's owner gives it: `blender-4.2`."""
Licence = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
"""Name of a global concurrency limit in Prefect."""


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except RequestError as exc:
        raise ValueError(str(exc)) from None


class Requires(WireModel):
    """What a worker must have, and what a chunk takes of it while it renders."""

    tags: Annotated[frozenset[Tag], Field(max_length=MAX_WORDS)] = frozenset()
    """Words that the worker's owner gave it (`helios-job node --tag`)."""
    gpus: Annotated[int, Field(strict=True, ge=0, le=MAX_GPUS)] = 0
    """GPUs that the chunk has for itself."""
    memory: Annotated[int, BeforeValidator(_bytes), Field(ge=0, le=2**50)] = 0
    """Bytes of memory that the chunk needs; a number, or a size such as `24 GB`."""
    licences: Annotated[frozenset[Licence], Field(max_length=MAX_WORDS)] = frozenset()
    """Global concurrency limits in Prefect, of each of which the chunk holds one slot while it renders."""

    def __or__(self, other: "Requires | None") -> "Requires":
        """What satisfies both: all words of either, and the larger number of each."""
        if other is None:
            return self
        return Requires(
            tags=self.tags | other.tags,
            gpus=max(self.gpus, other.gpus),
            memory=max(self.memory, other.memory),
            licences=self.licences | other.licences,
        )

    @property
    def of_worker(self) -> bool:
        """Whether it asks anything of the worker: licences are the farm's, whatever the worker."""
        return bool(self.tags or self.gpus or self.memory)


NOTHING = Requires.model_construct()  # makes no validator, for which a worker's cold start would wait
"""Any worker will do."""
