"""What every model of a document shares: frozen, camelCase on the wire, both spellings on input."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """A frozen value that is written in camelCase and read in camelCase or snake_case.

    Unknown fields are refused: a misspelled option must not be ignored in silence.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        # Messages quote the value themselves, bounded; pydantic's own text never reaches a user.
        hide_input_in_errors=True,
        # A model's validator is made when it is first used: a worker, whose start is waited for, uses few.
        defer_build=True,
    )
