"""Run a command with a cloud, or an own farm, around it: `python -m testbed.cloud CLOUD COMMAND …`.

CLOUD is aws, google, farm, slurm or kubernetes.

The command finds the cloud by its environment: storage and services by the variables of their SDKs, and the
adapters' configurations as HELIOS_AWS_LAMBDA_CONFIG, HELIOS_CLOUD_RUN_CONFIG and HELIOS_CLOUD_RUN_JOB_CONFIG.
The farm has three nodes with folders of their own, in network namespaces with addresses of their own where the
machine allows it, and HELIOS_FARM_CONFIG; one of them is killed while it renders.
With `slurm` the farm has no node, and asks a Slurm cluster of two nodes for them; with `kubernetes` the stand-in of a
Kubernetes cluster of two machines.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed.cloud.aws import aws
from testbed.cloud.google import google_cloud


def main() -> int:
    """Start the cloud, run the command, stop the cloud."""
    match sys.argv[1:]:
        case ["aws", *command] if command:
            with aws() as amazon:
                return _run(command, amazon.environment, {"AWS_LAMBDA": amazon.config})
        case ["google", *command] if command:
            with google_cloud() as google:
                configs = {"CLOUD_RUN": google.service_config, "CLOUD_RUN_JOB": google.job_config}
                return _run(command, google.environment, configs)
        case ["farm", *command] if command:
            return _run_on_farm(command)
        case ["slurm", *command] if command:
            return _run_on_slurm(command)
        case ["kubernetes", *command] if command:
            return _run_on_kubernetes(command)
        case _:
            sys.exit(__doc__)


def _run_on_farm(command: list[str]) -> int:
    from testbed.cloud.own_farm import own_farm

    with (
        TemporaryDirectory(prefix="helios-demo-farm-") as folder,
        own_farm(Path(folder), nodes=3, apart=lambda line: print(line, flush=True)) as farm,
    ):
        if farm.network is not None:
            print(f"node-0, node-1 and node-2 are on {', '.join(farm.network.addresses.values())}", flush=True)
        with farm.killing("node-1") as killed:
            code = _run(command, {}, {"FARM": farm.config})
        print("node-1 was killed while it rendered" if killed.is_set() else "node-1 was not killed: it was idle")
        return code


def _run_on_slurm(command: list[str]) -> int:
    from testbed.cloud.own_farm import own_farm
    from testbed.cloud.slurm import missing_programs, slurm_cluster

    if missing := missing_programs():
        sys.exit(f"A Slurm cluster {missing}")
    with (
        TemporaryDirectory(prefix="helios-demo-farm-") as farm_folder,
        TemporaryDirectory(prefix="helios-demo-slurm-") as folder,
        own_farm(Path(farm_folder), nodes=0) as farm,
        slurm_cluster(Path(folder)) as cluster,
    ):
        code = _run(command, cluster.environment, {"FARM": {**farm.config, "cluster": cluster.settings}})
        cluster.wait_until_empty()
        print("Slurm's queue is empty")
        return code


def _run_on_kubernetes(command: list[str]) -> int:
    from testbed.cloud.kubernetes_cluster import kubernetes_cluster
    from testbed.cloud.own_farm import own_farm

    with (
        TemporaryDirectory(prefix="helios-demo-farm-") as farm_folder,
        TemporaryDirectory(prefix="helios-demo-kubernetes-") as folder,
        own_farm(Path(farm_folder), nodes=0) as farm,
        kubernetes_cluster(Path(folder)) as cluster,
    ):
        code = _run(command, {}, {"FARM": {**farm.config, "cluster": cluster.settings}})
        cluster.wait_until_empty()
        print("Nothing is left on Kubernetes")
        return code


def _run(command: list[str], environment: Mapping[str, str], configs: Mapping[str, dict[str, Any]]) -> int:
    variables = {f"HELIOS_{name}_CONFIG": json.dumps(config) for name, config in configs.items()}
    return subprocess.run(command, env={**os.environ, **environment, **variables}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
