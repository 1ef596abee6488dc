"""The contract suite over a real farm: a scheduler and two nodes, each a process, over TLS."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from adapters import create_adapter
from helios.adapter import ConnectedAdapter, WorkerAdapter
from testbed.cloud.own_farm import OwnFarm, own_farm
from tests.adapters.test_remote_contract import RemoteContract


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    with own_farm(tmp_path_factory.mktemp("farm")) as farm:
        yield farm


class TestFarm(RemoteContract):
    """This machine hands out the files, as in a studio without a bucket."""

    @pytest.fixture
    async def adapter(self, farm: OwnFarm) -> AsyncIterator[WorkerAdapter]:
        adapter = create_adapter(farm.config)[1]
        assert isinstance(adapter, ConnectedAdapter)
        await adapter.open()
        yield adapter
        await adapter.aclose()
