"""How results are written for Prefect: as its own JSON serializer does, in fewer bytes, which that serializer reads.

Each chunk has a record, and half of one was settings of the serializer that are its defaults.
"""

import json
from abc import ABC
from typing import Any

from prefect.serializers import JSONSerializer, prefect_json_object_encoder
from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer


class RecordFormat(JSONSerializer[Any], ABC):  # an ABC, which Prefect does not register in place of its own
    """Writes JSON without spaces, and leaves out fields that have their defaults."""

    def dumps(self, obj: Any) -> bytes:
        """Encode an object."""
        return json.dumps(obj, default=_encode, separators=(",", ":")).encode()

    @model_serializer(mode="wrap")
    def _as_the_type(self, _write: SerializerFunctionWrapHandler) -> dict[str, str]:
        """What a record says of its serializer: whoever reads it takes the defaults of Prefect's."""
        return {"type": self.type}


def _encode(obj: Any) -> Any:
    encoded = prefect_json_object_encoder(obj)
    if isinstance(obj, BaseModel):
        encoded["data"] = obj.model_dump(mode="json", exclude_defaults=True)
    return encoded
