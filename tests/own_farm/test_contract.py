"""The contract suite over a real farm: a scheduler and two nodes, each a process, over TLS.

This machine hands out the files, as in a studio without a bucket.
"""

import pytest

from adapters.farm import FarmAdapter
from helios.adapter import WorkerAdapter
from tests.adapters.test_remote_contract import RemoteContract


class TestFarm(RemoteContract):
    """Requests to a node by way of Dask."""

    @pytest.fixture
    def adapter(self, farm_adapter: FarmAdapter) -> WorkerAdapter:
        """Scheduler, two nodes, TLS."""
        return farm_adapter
