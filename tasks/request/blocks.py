"""Tell an adapter's configuration that names a Prefect block from one that says everything itself."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from adapters import settings_of

BLOCK = "block:"


def find_block_name(value: str) -> str | None:
    """`aws-credentials/prod` of `block:aws-credentials/prod`; None for other text."""
    return value.removeprefix(BLOCK) if value.startswith(BLOCK) else None


def names_block(choice: str | Mapping[str, Any] | BaseModel | None) -> bool:
    """Whether a configuration needs Prefect to be understood."""
    if choice is None:
        return False
    settings = settings_of(choice)
    return "/" in str(settings.get("type", "")) or any(
        isinstance(value, str) and find_block_name(value) is not None for value in settings.values()
    )


async def without_blocks(
    choice: str | Mapping[str, Any] | BaseModel | None,
) -> str | Mapping[str, Any] | BaseModel | None:
    """A configuration with what the blocks in it hold.

    Raises:
        RequestError: There is no such block.
    """
    if choice is None or not names_block(choice):
        return choice
    from tasks.request.adapter_blocks import look_up  # imports prefect-aws

    return await look_up(choice)
