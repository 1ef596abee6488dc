"""Tell an adapter's configuration that names a Prefect block from a complete one. Imports no Prefect."""

from adapters import AdapterChoice, settings_of

BLOCK = "block:"
"""Begins a value that names a block: `block:aws-credentials/prod`."""


def find_block_name(value: str) -> str | None:
    """`aws-credentials/prod` of `block:aws-credentials/prod`; None for other text."""
    return value.removeprefix(BLOCK) if value.startswith(BLOCK) else None


def names_block(choice: AdapterChoice | None) -> bool:
    """Whether a configuration needs Prefect to be understood."""
    if choice is None:
        return False
    settings = settings_of(choice)
    return "/" in str(settings.get("type", "")) or any(
        isinstance(value, str) and find_block_name(value) is not None for value in settings.values()
    )
