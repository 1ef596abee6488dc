"""Commands on nodes run in a sandbox where the node's owner or the flow asks for one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.farm import FarmAdapter
from adapters.farm_config import FarmConfig
from adapters.farm_placement import why_none
from helios.errors import WorkerUnavailableError
from helios.models.requires import Requires
from helios.models.sandbox import SandboxKind, stricter
from helios.own_farm.node_state import SANDBOX_TAG
from helios.worker.runtime import package_version
from testbed.cloud.own_farm import OwnFarm, own_farm
from tests.adapters.test_sandbox import needs_bubblewrap
from tests.helios.worker.stored import store_script

ROOT = Path(__file__).parents[2]
HOW = """
import os, socket, sys
def can(act):
    try: act()
    except OSError: return 0
    return 1
open("here", "w").close()
outside = can(lambda: open(sys.argv[1] + "/outside", "w"))
network = can(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5))
print("outside", outside, "network", network)
sys.exit(10 + outside + 2 * network)
"""
"""Ends with 10; 1 more if it can write outside of its folder, and 2 more if it has the network."""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnFarm]:
    """A scheduler without nodes."""
    with own_farm(tmp_path_factory.mktemp("farm"), nodes=0) as farm:
        yield farm


async def how(farm: OwnFarm, outside: Path, **settings: object) -> int:
    """How a command ends; see `HOW`."""
    adapter = FarmAdapter(FarmConfig.model_validate({**farm.config, "node_wait_seconds": 1, **settings}))
    await adapter.open()
    try:
        job = store_script(adapter.storage, HOW, str(outside), str(farm.token.port))
        return (await adapter.execute(job)).exit_code
    finally:
        await adapter.aclose()


@needs_bubblewrap
async def test_the_flow_asks(farm: OwnFarm, tmp_path: Path) -> None:
    """A node runs a command without a sandbox, in one, or in one with the network, as the flow asks."""
    farm.start_node("plain")
    assert await how(farm, tmp_path) == 13
    assert await how(farm, tmp_path, sandbox="bubblewrap") == 10
    assert await how(farm, tmp_path, sandbox="bubblewrap", sandbox_network=True) == 12
    farm.stop_node("plain")


@needs_bubblewrap
async def test_the_nodes_owner_asks(farm: OwnFarm, tmp_path: Path) -> None:
    """A node that was started with a sandbox uses it for every command, and a flow can't have it laxer."""
    farm.start_node("strict", variables={"HELIOS_SANDBOX": "bubblewrap"})
    assert "2 chunks at a time, tags bubblewrap, commands in bubblewrap" in farm.console("strict")
    assert await how(farm, tmp_path) == 10
    assert await how(farm, tmp_path, sandbox="bubblewrap", sandbox_network=True) == 10
    farm.stop_node("strict")


async def test_a_node_that_has_none(farm: OwnFarm, tmp_path: Path) -> None:
    """A node where bubblewrap does not work gets no chunk that asks for it, and the chunk says what to do."""
    lame = {"PATH": str(tmp_path)}
    farm.start_node("lame", variables=lame)
    assert "tags" not in farm.console("lame")
    with pytest.raises(WorkerUnavailableError, match="no node can run commands in the sandbox bubblewrap; on a mach"):
        await how(farm, tmp_path, sandbox="bubblewrap")
    farm.start_node("lame", variables=lame, tags=(SANDBOX_TAG,))
    with pytest.raises(WorkerUnavailableError, match="The worker runs no command outside of a sandbox here: .*'bwrap'"):
        await how(farm, tmp_path, sandbox="bubblewrap")
    farm.stop_node("lame")


@pytest.mark.parametrize(
    "words",
    [["-m", "helios.own_farm", "TOKEN", "--sandbox", "bubblewrap"], ["-m", "helios.worker", "serve", "--port", "0"]],
)
def test_a_worker_that_can_not_start(farm: OwnFarm, words: list[str], tmp_path: Path) -> None:
    """A node, or a worker's service, whose owner wants a sandbox that does not work does not start, and says why."""
    done = subprocess.run(
        [sys.executable, *[farm.token.text if word == "TOKEN" else word for word in words]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": str(tmp_path), "HELIOS_SANDBOX": "bubblewrap"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "The sandbox bubblewrap needs the program 'bwrap', which is not on PATH; install it" in done.stderr
    assert "Traceback" not in done.stderr


def test_which_is_stricter() -> None:
    """No network is stricter than a network, and any sandbox than none."""
    both = (SandboxKind.WITH_NETWORK, SandboxKind.BUBBLEWRAP)
    assert stricter(*both) is stricter(*reversed(both)) is SandboxKind.BUBBLEWRAP
    assert stricter(None, SandboxKind.WITH_NETWORK) is SandboxKind.WITH_NETWORK
    assert stricter(None, None) is None


def test_a_flow_looks_for_nodes_that_can(farm: OwnFarm) -> None:
    """What a flow requires includes its sandbox, so that a cluster is asked for nodes for it."""
    config = FarmConfig.model_validate({**farm.config, "requires": ["gpu"], "sandbox": "bubblewrap"})
    assert config.all_requires == Requires(tags=frozenset({"gpu", SANDBOX_TAG}))
    assert why_none([], config.all_requires, version=package_version()) is not None
