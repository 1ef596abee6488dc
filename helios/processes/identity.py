"""Tell processes and machines apart, so that a process id that was given again is not taken for the old process."""

import os
import socket

import psutil


def process_start(pid: int) -> str:
    """When a process began, in a form that no change of a clock alters; empty for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] == b"Z" else fields[19].decode()  # ticks since the machine's boot
    except OSError:
        pass
    try:
        return str(psutil.Process(pid).create_time())  # not Linux
    except psutil.Error:
        return ""


def machine_id() -> str:
    """Name the boot of this machine, and the container: within it, process ids mean the same."""
    boot = space = ""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        pass  # not Linux: the name must do
    return f"{socket.gethostname()} {boot} {space}"
