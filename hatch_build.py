"""Install the `helios-job` command with the checkout only.

The wheel holds `helios` alone, so a console script declared in pyproject.toml would be broken wherever
the wheel is installed: what the command needs (cli, flows, tasks, adapters) is not there. An editable
install of the checkout has all of it.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InstallCommandWithCheckout(BuildHookInterface):  # type: ignore[type-arg]
    """Adds `helios-job` to editable builds."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling with `version` "editable" or "standard" before each build."""
        if version == "editable":
            build_data["shared_scripts"]["cli/helios-job"] = "helios-job"
