"""EC2 gives nodes to an own farm, and gets them back, whatever dies.

Amazon's own client asks moto's server, whose instances carry out their user data (`testbed.cloud.ec2`).
"""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pydantic import TypeAdapter, ValidationError

from adapters.farm_cluster.config import ClusterConfig, Ec2
from adapters.farm_cluster.ec2_nodes import request, user_data
from helios.errors import RequestError
from testbed.cloud.aws import KEYS
from testbed.cloud.own_farm import OwnFarm
from testbed.cloud.processes import running
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.helios.worker.stored import store_script
from tests.own_farm.clusters import begin_flow, changed, opened, until
from tests.running import render


class Cloud:
    """A running stand-in of EC2."""

    def __init__(self, about: dict[str, Any], folder: Path) -> None:
        self.environment = {**KEYS, "AWS_ENDPOINT_URL_EC2": about["url"]}
        self.client = boto3.client("ec2", endpoint_url=about["url"], region_name="us-east-1",
                                   aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
        self.settings = {
            "type": "ec2", "most": 2, "slots": 2, "image": about["image"], "instance_type": "c7i.large",
            "region": "us-east-1",
        }  # fmt: skip
        self.folder = folder

    def instances(self) -> list[str]:
        """Those that run."""
        found = self.client.describe_instances()["Reservations"]
        return [one["InstanceId"] for group in found for one in group["Instances"]
                if one["State"]["Name"] in {"pending", "running"}]  # fmt: skip


@pytest.fixture(scope="module")
def _cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("ec2")
    with running("testbed.cloud.ec2", settings={"folder": str(folder)}) as about:
        yield Cloud(about, folder)


@pytest.fixture
def cloud(_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """EC2, which this process finds by its environment, without an instance."""
    for name, value in _cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield _cloud
    if left := _cloud.instances():
        _cloud.client.terminate_instances(InstanceIds=left)


@pytest.fixture
def config(empty_farm: OwnFarm, cloud: Cloud) -> dict[str, Any]:
    """Settings of the adapter: two nodes of two chunks at most."""
    return {**empty_farm.config, "cluster": cloud.settings}


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.slow
async def test_a_job(cloud: Cloud, config: dict[str, Any], tmp_path: Path) -> None:
    """Frames are exact although an instance is terminated while it renders; no instance is left at the end."""
    gate, folder = tmp_path / "gate", tmp_path / "job"
    folder.mkdir()
    job = make_job((10,) * 8, extra=["--misbehave", f"until:{gate}", "--only", "20"], outputFile="video.mp4")
    work = asyncio.create_task(render(folder, job, adapter=changed(config, drain_seconds=0), concurrency=4))

    def is_at_the_gate() -> bool:
        assert not work.done(), work.result()
        return len(list(folder.glob("chunk *.mp4"))) == 7

    await until(is_at_the_gate)
    first = cloud.instances()
    cloud.client.terminate_instances(InstanceIds=first)
    gate.mkdir()
    (gate / "all").touch()
    state, _ = await work
    assert state.is_completed(), state.message
    assert read_numbers(folder / "video.mp4") == list(range(80))
    await until(lambda: not cloud.instances())


@pytest.mark.slow  # as on Kubernetes, and an instance takes longer
async def test_nodes_come_and_go(cloud: Cloud, config: dict[str, Any]) -> None:
    """An instance ends itself when its node has nothing to do; others are asked for, and given back at the end."""
    async with opened(changed(config, idle_seconds=3)) as (adapter, told):
        results = await asyncio.gather(*(adapter.execute(store_script(adapter.storage, "pass")) for _ in range(6)))
        assert [result.exit_code for result in results] == [0] * 6
        await until(lambda: not cloud.instances())
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
    await until(lambda: not cloud.instances())
    async with opened(config) as (adapter, told_last):
        assert (await adapter.execute(store_script(adapter.storage, "pass"))).exit_code == 0
        assert len(cloud.instances()) == 1
    await until(lambda: not cloud.instances())
    assert told_last[-1] == "Gave 1 node back to EC2"
    assert any(line.startswith("Asked EC2 for 2 nodes: instances i-") for line in told)


async def test_what_amazon_refuses(config: dict[str, Any]) -> None:
    """Where Amazon takes no request and no node is there, a chunk fails for good, with Amazon's own words.

    Amazon says so before the run starts; moto's dry run takes everything.
    """
    async with opened(changed(config, subnet="subnet-0a")) as (adapter, _):
        with pytest.raises(RequestError, match=r"EC2 refuses an instance for a node: .* \(InvalidSubnetID.NotFound\)"):
            await adapter.execute(store_script(adapter.storage, "pass"))


@pytest.mark.slow  # as on Kubernetes, and an instance takes longer
async def test_the_flow_is_killed(cloud: Cloud, config: dict[str, Any]) -> None:
    """An instance whose node has not joined is terminated at once, one whose node has joined ends when it is idle."""
    slow = changed(config, idle_seconds=5, prologue=[f"test -e {cloud.folder}/first && sleep 600",
                                                     f"touch {cloud.folder}/first"])  # fmt: skip
    process = await begin_flow(slow)

    def joined() -> list[Path]:
        consoles = [cloud.folder / name / "console" for name in cloud.instances()]
        return [path for path in consoles if path.exists() and "has joined" in path.read_text()]

    await until(lambda: len(cloud.instances()) == 2 and len(joined()) == 1)
    await asyncio.sleep(3)  # the flow looks each second whether a node has come
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: not cloud.instances())


def ec2(**settings: Any) -> Ec2:
    found = TypeAdapter(ClusterConfig).validate_python({"type": "ec2", "most": 1, **settings})
    assert isinstance(found, Ec2)
    return found


def test_every_setting_is_used(empty_farm: OwnFarm, tmp_path: Path) -> None:
    """Each setting is where Amazon looks for it; the script's words are one shell command that ends with a shutdown."""
    config = ec2(
        launch_template="lt-0a", subnet="subnet-0b", security_groups=["sg-0c"], instance_profile="renderer", spot=True,
        instance_tags={"film": "12"}, image="resolve:ssm:/helios/image", sandbox="bubblewrap", slots=4,
    )  # fmt: skip
    found = request(config, flow="f", name="n", script="#!/bin/sh")
    assert found["LaunchTemplate"] == {"LaunchTemplateId": "lt-0a"}
    assert (found["SubnetId"], found["SecurityGroupIds"]) == ("subnet-0b", ["sg-0c"])
    assert found["IamInstanceProfile"] == {"Name": "renderer"}
    assert found["InstanceMarketOptions"]["MarketType"] == "spot"
    assert found["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert {"Key": "film", "Value": "12"} in found["TagSpecifications"][0]["Tags"]
    assert "InstanceType" not in found
    script = user_data(config, empty_farm.token, tags={"a tag's"})
    (tmp_path / "user-data").write_text(script)
    subprocess.run(["/bin/sh", "-n", str(tmp_path / "user-data")], check=True)
    assert "python3 -m helios.own_farm --slots 4 --idle 60 --drain 20 --sandbox bubblewrap --tag" in script
    assert script.index("trap 'shutdown -h now' EXIT") < script.index("helios.own_farm")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs launch_template, or image and instance_type"),
        ({"image": "ami-0a"}, "needs launch_template, or image and instance_type"),
        ({"image": "debian", "instance_type": "c7i.large"}, "image"),
        ({"launch_template": "x", "prologue": ["a\nb"]}, "prologue"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    """A wrong setting is named."""
    with pytest.raises(ValidationError, match=words):
        ec2(**settings)
