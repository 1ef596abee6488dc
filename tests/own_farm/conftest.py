"""A farm for the tests of a file."""

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from testbed.cloud.own_farm import OwnFarm, own_farm


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    with own_farm(tmp_path_factory.mktemp("farm")) as farm:
        yield farm


@pytest.fixture(scope="module")
def empty_farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    """A scheduler without nodes."""
    with own_farm(tmp_path_factory.mktemp("farm"), nodes=0) as farm:
        yield farm


@pytest.fixture
async def farm_adapter(farm: OwnFarm) -> AsyncIterator[FarmAdapter]:
    adapter = FarmAdapter(FarmConfig.model_validate(farm.config))
    await adapter.open()
    yield adapter
    await adapter.aclose()
