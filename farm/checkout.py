"""This checkout of the project, as the machine has it that imports this module.

Deployments name no path: each worker carries runs out in its own checkout, wherever that is. `prefect.yaml` names
`enter` as the step with which a flow's process begins.
"""

import os
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
"""Where prefect.yaml and the flow are."""


def enter() -> dict[str, str]:
    """Make the checkout the working directory.

    The flow's entrypoint is relative to it, and so are paths such as those of the examples.

    Returns:
        What Prefect's own step `set_working_directory` returns.
    """
    os.chdir(CHECKOUT)
    return {"directory": str(CHECKOUT)}
