"""Nodes that are machines of Amazon EC2, by boto3.

Why dask-cloudprovider has no part in it: docs/decisions/kubernetes-and-clouds.md.
"""

import asyncio
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from adapters.aws import open_session
from adapters.farm_cluster.config import Ec2
from adapters.farm_cluster.guarded import Guard, GuardedNodes, end_command
from adapters.farm_cluster.states import JobState, Phase
from helios.errors import RequestError, WorkerUnavailableError
from helios.own_farm.join_token import JoinToken
from helios.variables import FARM

FLOW_TAG = "helios-flow"
"""The tag of everything that belongs to one flow."""
OVER = frozenset({"shutting-down", "terminated", "stopping", "stopped"})
"""States of an instance that renders no more."""
NOT_NOW = ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "LimitExceeded", "SpotMaxPriceTooLow",
           "RequestLimitExceeded", "Throttling", "Unavailable", "InternalError")  # fmt: skip
"""In an error's code: Amazon has none to give now, or not to this account; later it may."""


class Ec2Nodes(GuardedNodes):
    """The instances of one flow; see `adapters.farm_cluster.source.NodeSource`.

    Args:
        config: What is asked for.
        name: Of the flow.
        token: What nodes join.
        tags: What nodes can do.

    Raises:
        RequestError: There are no credentials, or no region is named.
    """

    title = "EC2"
    unit = "instance"

    def __init__(self, config: Ec2, *, name: str, token: JoinToken, tags: Collection[str]) -> None:
        self._config = config
        self._flow = name
        self._token = token
        self._tags = frozenset(tags)
        self._client = open_session(keys=None, profile=None, region=config.region).client("ec2")

    async def open(self) -> None:
        """Have Amazon check the request without carrying it out, and start the guard."""
        wanted = self._wanted("probe")
        await self._call(partial(self._client.run_instances, **wanted, DryRun=True))
        self._guard = Guard(end_command(self._config), keeps_credentials=True)

    async def submit(self, name: str) -> str:
        """Start an instance."""
        answer = await self._call(partial(self._client.run_instances, **self._wanted(name)))
        node_id = str(answer["Instances"][0]["InstanceId"])
        self._note("+", node_id)
        return node_id

    async def states(self, ids: Sequence[str]) -> dict[str, JobState] | None:
        """Look at the flow's instances."""
        pages = self._client.get_paginator("describe_instances")
        filters = [{"Name": f"tag:{FLOW_TAG}", "Values": [self._flow]}]
        try:
            found = await self._call(lambda: list(pages.paginate(Filters=filters)))
        except (RequestError, WorkerUnavailableError):
            return None
        instances = [one for page in found for group in page["Reservations"] for one in group["Instances"]]
        return {one["InstanceId"]: instance_state(one) for one in instances}

    async def cancel(self, node_id: str) -> None:
        """Terminate an instance."""
        with suppress(RequestError, WorkerUnavailableError):
            await self._call(partial(self._client.terminate_instances, InstanceIds=[node_id]))
        self._note("-", node_id)

    async def last_words(self, node_id: str) -> str:
        """Read the instance's console, which Amazon shows minutes late."""
        with suppress(RequestError, WorkerUnavailableError):
            answer = await self._call(partial(self._client.get_console_output, InstanceId=node_id))
            if lines := [line.strip() for line in answer.get("Output", "").splitlines() if line.strip()]:
                return str(lines[-1][:300])
        return "Amazon shows no console of it yet (aws ec2 get-console-output)"

    async def close(self, *, keep_logs: bool) -> None:
        """End the guard and the connections."""
        await super().close(keep_logs=keep_logs)
        await asyncio.to_thread(self._client.close)

    def _wanted(self, name: str) -> dict[str, Any]:
        script = user_data(self._config, self._token, tags={name, *self._tags})
        return request(self._config, flow=self._flow, name=name, script=script)

    async def _call(self, call: Callable[[], Any]) -> Any:
        """Carry out a request in a thread.

        Raises:
            RequestError: Amazon refuses it.
            WorkerUnavailableError: Amazon has no machine now, or does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return await asyncio.to_thread(call)
        except ClientError as exc:
            code, message = exc.response["Error"]["Code"], exc.response["Error"]["Message"]
            if code == "DryRunOperation":
                return None
            kind = WorkerUnavailableError if any(word in code for word in NOT_NOW) else RequestError
            raise kind(f"EC2 refuses an instance for a node: {message} ({code})") from None
        except BotoCoreError as exc:
            raise WorkerUnavailableError(f"EC2 can't be asked for a node: {exc}") from None


def request(config: Ec2, *, flow: str, name: str, script: str) -> dict[str, Any]:
    """The arguments of `run_instances` for one node.

    Args:
        config: What is asked for.
        flow: The value of the flow's tag.
        name: The node's; the same request twice starts one instance.
        script: Its user data.
    """
    tags = {**config.instance_tags, "Name": f"helios-{name}", FLOW_TAG: flow}
    found: dict[str, Any] = {
        "MinCount": 1, "MaxCount": 1, "ClientToken": f"helios-{name}", "UserData": script,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            for kind in ("instance", "volume")
        ],
    }  # fmt: skip
    if template := config.launch_template:
        key = "LaunchTemplateId" if template.startswith("lt-") else "LaunchTemplateName"
        found["LaunchTemplate"] = {key: template}
    if profile := config.instance_profile:
        found["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if config.spot:
        found["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    given = {
        "ImageId": config.image, "InstanceType": config.instance_type, "SubnetId": config.subnet,
        "SecurityGroupIds": list(config.security_groups) or None,
    }  # fmt: skip
    return found | {key: value for key, value in given.items() if value is not None}


def user_data(config: Ec2, token: JoinToken, *, tags: Collection[str]) -> str:
    """The script that the instance runs once, as root: it is a node until the node ends, and then shuts down."""
    words = [*shlex.split(config.python), "-m", "helios.own_farm", *config.node_options(tags)]
    return "\n".join([
        "#!/bin/sh", "trap 'shutdown -h now' EXIT", "export HOME=/root", *config.prologue,
        f"{FARM}={shlex.quote(token.text)} {shlex.join(words)}", "",
    ])  # fmt: skip


def instance_state(instance: Mapping[str, Any]) -> JobState:
    """Where a node is, by what `describe_instances` says of its instance."""
    if instance["State"]["Name"] in OVER:
        return JobState(Phase.ENDED, str(instance.get("StateReason", {}).get("Message", "")))
    return JobState(Phase.RUNNING)
