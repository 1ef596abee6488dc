"""Let a Python process be of version 0.0.1: Python imports this module by its name at its start."""

from importlib import metadata

_right = metadata.version


def _version(distribution_name: str) -> str:
    return "0.0.1" if distribution_name == "helios-render" else _right(distribution_name)


metadata.version = _version
