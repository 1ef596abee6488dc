"""Say what is wrong with the first bad items of a long list, and look at no more."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from helios.errors import MOST_PROBLEMS


@dataclass(frozen=True)
class FirstProblems:
    """Marks a list of models that fails at its first bad item (`fail_fast`): the problems of a few more are found.

    pydantic alone tells of the first bad item, or makes errors of all: gigabytes for a list of 100,000.
    """

    item: type[BaseModel]
    """The items' model."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the list's own schema."""
        return core_schema.with_info_wrap_validator_function(self._validate, handler(source))

    def _validate(self, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]["loc"][:1]
            if not (isinstance(value, list | tuple) and first and isinstance(first[0], int)):
                raise
        raise ValidationError.from_exception_data("list", self._errors(value, first[0], info))

    def _errors(self, items: Any, first: int, info: ValidationInfo) -> list[InitErrorDetails]:
        found: list[InitErrorDetails] = []
        for index in range(first, len(items)):
            try:
                self.item.model_validate(items[index], context=info.context)
            except ValidationError as exc:
                for one in exc.errors(include_url=False):
                    place = (index, *one["loc"])
                    found.append(
                        InitErrorDetails(type=one["type"], loc=place, input=one["input"], ctx=one.get("ctx", {}))
                    )
            if len(found) >= MOST_PROBLEMS:
                break
        return found
