"""Run commands in a sandbox of bubblewrap: they write to their own folders alone, and have no network unless allowed.

bubblewrap (`bwrap`) makes namespaces of the kernel for one command. Its `--die-with-parent` is not used: at a cancel's
SIGTERM bwrap would end, and with it the command in the same moment, without the grace period. The processes inside
carry the marker of their tree and are descendants of the guardian, which find them as they find all others.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from glob import glob
from pathlib import Path

from helios.errors import RequestError
from helios.models.sandbox import SandboxKind

PROGRAM = "bwrap"
CHECK_SECONDS = 20.0
GPU_DEVICES = ("/dev/dri", "/dev/kfd", "/dev/nvidia*", "/dev/dxg")
SESSIONS = "/run/user"
"""Sockets of users' sessions, through which a command could have programs started outside of the sandbox."""


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that works on this machine; `open_sandbox` tries it."""

    version: str
    """bubblewrap's name and version."""
    words: tuple[str, ...]
    """The words before a command that may write nowhere."""

    def around(self, writable: Sequence[Path]) -> list[str]:
        """The words before a command.

        Args:
            writable: Folders that it may write to. They must exist.

        Raises:
            RequestError: One of them is the root folder.
        """
        words = list(self.words)
        for path in map(os.path.realpath, writable):
            if path == "/":
                raise RequestError(
                    "In a sandbox the job directory is writable, and it is /, the whole disk; expected a folder of the "
                    "job's own: put the job into one"
                )
            words += ["--bind", path, path]
        return [*words, "--"]


def open_sandbox(*, network: bool) -> Sandbox:
    """Try a sandbox. Blocking: it runs a process.

    Args:
        network: Whether commands see this machine's network. Without it, each has a loopback interface of its own.

    Raises:
        RequestError: It does not work; says what to install or to set.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise RequestError(
            f"The sandbox bubblewrap needs the program {PROGRAM!r}, which is not on PATH; install it "
            "(Debian, Ubuntu, Fedora: the package bubblewrap), or leave `sandbox` out"
        )
    words = _words(program, network=network)
    try:
        done = subprocess.run(
            [*words, "--", program, "--version"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RequestError(_refusal(str(exc))) from exc
    if done.returncode != 0:
        raise RequestError(_refusal(done.stderr.strip() or f"exit code {done.returncode}"))
    return Sandbox(done.stdout.strip(), words)


@cache
def sandbox_of(kind: SandboxKind) -> Sandbox:
    """A sandbox of a kind, tried once in a process; see `open_sandbox`."""
    return open_sandbox(network=kind is SandboxKind.WITH_NETWORK)


def _words(program: str, *, network: bool) -> tuple[str, ...]:
    words = [program, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL"]
    words += [] if network else ["--unshare-net"]
    words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for device in [path for pattern in GPU_DEVICES for path in sorted(glob(pattern))]:
        words += ["--dev-bind", device, device]
    return (*words, *(["--tmpfs", SESSIONS] if os.path.isdir(SESSIONS) else []))


def _refusal(reason: str) -> str:
    return (
        f"The sandbox bubblewrap does not work on this machine: {reason}\n"
        "  bwrap must be allowed to make namespaces and to mount /proc. Allow user namespaces (sysctl "
        "kernel.unprivileged_userns_clone=1; on Ubuntu, AppArmor's profile of bwrap); in a container also unmask /proc "
        "(--security-opt unmask=ALL of podman, systempaths=unconfined of docker); or leave `sandbox` out"
    )
