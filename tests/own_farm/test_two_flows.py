"""Two flows on one machine and one farm, at once: neither disturbs the other."""

import asyncio
import hashlib

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from testbed.cloud.own_farm import OwnFarm
from tests.helios.worker.stored import store_script


async def test_a_flow_begins_while_another_receives_a_file(farm: OwnFarm) -> None:
    """Both hand out files from the same folder: the start of one leaves what the other is receiving alone."""
    config = FarmConfig.model_validate(farm.config)
    first, second = FarmAdapter(config), FarmAdapter(config)
    await first.open()
    try:
        server = first._server
        assert server is not None
        upload = await server._begin("jobs/one/output")
        await server._put(upload, b"half, ")
        await second.open()
        result = await asyncio.wait_for(second.execute(store_script(second.storage, "pass")), 60)
        assert result.exit_code == 0
        await server._put(upload, b"and whole")
        await server._end(upload, hashlib.sha256(b"half, and whole").hexdigest())
        assert await second.storage.read("jobs/one/output") == b"half, and whole"
    finally:
        await second.aclose()
        await first.aclose()
