"""A stand-in of Amazon EC2: moto's, whose instances carry out their user data as processes of this machine.

An instance runs its user data once, as cloud-init does, without an isolation of any kind; `shutdown` ends it as its
InstanceInitiatedShutdownBehavior says. Terminated, its processes get SIGTERM and, five seconds later, SIGKILL. Gaps:
what moto does not check (quotas, rights, images, networks), metadata, boot time.
"""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import psutil
from moto.server import ThreadedMotoServer

from testbed.cloud.processes import ROOT, ready, settings, wait_for_end

STOP_SECONDS = 5.0
SHUTDOWN = "#!/bin/sh\ntouch {folder}/down\n"


class Machines:
    """The instances' processes.

    Args:
        client: EC2, to look at.
        folder: For their folders and consoles.
    """

    def __init__(self, client: Any, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def look(self) -> None:
        """Do what there is to do now."""
        pages = self._client.describe_instances()["Reservations"]
        states = {one["InstanceId"]: one["State"]["Name"] for group in pages for one in group["Instances"]}
        for name, state in states.items():
            folder = self._folder / name
            if state == "running" and name not in self._running and not folder.exists():
                self._start(name, folder)
            elif state == "running" and (folder / "down").exists():
                self._client.terminate_instances(InstanceIds=[name])
            elif state != "running" and name in self._running:
                end(self._running.pop(name))

    def close(self) -> None:
        """End all of them."""
        for process in self._running.values():
            end(process)

    def _start(self, name: str, folder: Path) -> None:
        asked = self._client.describe_instance_attribute(InstanceId=name, Attribute="userData")
        (folder / "bin").mkdir(parents=True)
        (folder / "user-data").write_bytes(base64.b64decode(asked["UserData"]["Value"]))
        (folder / "bin" / "shutdown").write_text(SHUTDOWN.format(folder=folder))
        (folder / "bin" / "shutdown").chmod(0o755)
        variables = {
            "PATH": f"{folder}/bin:{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT),
            "HELIOS_FOLDER": str(folder), "HELIOS_COMMAND_ENV": "PYTHONPATH", "HELIOS_GRACE_SECONDS": "1",
        }  # fmt: skip
        with (folder / "console").open("ab") as console:
            self._running[name] = subprocess.Popen(
                ["/bin/sh", str(folder / "user-data")], env=variables, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip


def end(process: subprocess.Popen[bytes]) -> None:
    """End a machine's processes as its shutdown would."""
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        first = psutil.Process(process.pid)
        family = [first, *first.children(recursive=True)]
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for one in family:
        with suppress(psutil.Error):
            one.kill()
    process.wait()


def main() -> None:
    """Serve until the caller ends."""
    wanted = settings()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("ec2", endpoint_url=url, region_name="us-east-1",
                          aws_access_key_id="test", aws_secret_access_key="test")  # fmt: skip
    machines, over = Machines(client, Path(wanted["folder"])), threading.Event()

    def watch() -> None:
        while not over.is_set():
            machines.look()
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    image = client.describe_images()["Images"][0]["ImageId"]
    ready(url=url, image=image)
    wait_for_end()
    over.set()
    watcher.join()
    machines.close()
    server.stop()


if __name__ == "__main__":
    main()
