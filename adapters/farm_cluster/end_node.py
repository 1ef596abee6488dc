"""End a node that nobody waits for any more: `python -m adapters.farm_cluster.end_node SETTINGS ID`.

A flow's guard runs it when the flow is gone; the settings are the cluster's, as JSON.
"""

import asyncio
import sys

from pydantic import TypeAdapter

from adapters.farm_cluster.config import ClusterConfig, ClusterSettings
from adapters.farm_cluster.source import node_source
from helios.own_farm.join_token import JoinToken

NOBODY = JoinToken("127.0.0.1", 1, bytes(32))
"""Nothing joins by it: nodes are ended here."""


def main() -> None:
    """Carry out the command line."""
    config: ClusterSettings = TypeAdapter(ClusterConfig).validate_json(sys.argv[1])
    source = node_source(config, name="none", token=NOBODY, tags=())
    asyncio.run(source.cancel(sys.argv[2]))


if __name__ == "__main__":
    main()
