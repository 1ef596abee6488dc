"""What stays of a chunk's sound: bounded, whatever the chunk's length. Workers send it, and records keep it."""

import base64
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from helios.models.base import WireModel


def _whole_samples(text: str) -> str:
    """Refuse what is no base64 of whole samples: it comes from another machine."""
    if len(base64.b64decode(text, validate=True)) % 2:
        raise ValueError("half a sample")
    return text


Edge = Annotated[str, Field(max_length=1024), AfterValidator(_whole_samples)]
"""Samples of all channels' mean: 16 bits each, low byte first, in base64."""
Count = Annotated[int, Field(ge=0)]


class ChunkSound(WireModel):
    """A chunk's first and last samples, and statistics of all of them; channels are mixed to one."""

    model_config = ConfigDict(extra="ignore")

    sample_rate: Annotated[int, Field(gt=0)]
    """Samples per second."""
    samples: Count
    """How many."""
    first: Edge
    """The first samples."""
    last: Edge
    """The last samples."""
    loudness: Annotated[float, Field(ge=0, le=1)]
    """The root of the mean square of all samples; 1 is full scale."""
    silent_first: Count
    """Samples of silence at the beginning; all of them, if no sample is heard."""
    silent_last: Count
    """Samples of silence at the end."""
