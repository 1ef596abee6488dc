"""The workers of a farm by their names."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate

from farm.workers import free_name, list_workers

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_two_workers_of_a_machine_have_two_names() -> None:
    """A worker is called after its machine; the second one of a machine by its process id, too."""
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="named", type="process"))
        assert await free_name(client, "named", "render-7", pid=17) == "render-7"
        await client.send_worker_heartbeat("named", "render-7")
        assert await free_name(client, "named", "render-7", pid=17) == "render-7-17"
        assert await free_name(client, "named", "render-8", pid=17) == "render-8"
        own = [worker for worker in await list_workers(client) if worker.pool == "named"]
    assert [(worker.name, worker.is_online, worker.runs) for worker in own] == [("render-7", True, ())]
