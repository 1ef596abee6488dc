"""Small disks that the bench mounts, so that it can fill them."""

import subprocess
import tempfile
from pathlib import Path

DISK_MIB = 6


def mount(folder: Path, *, mebibytes: int = DISK_MIB) -> bool:
    """Mount a small disk on a folder; return whether that worked."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "helios-faults", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Unmount a folder's disk."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def can_mount() -> bool:
    """Whether this machine lets disks be mounted."""
    probe = Path(tempfile.mkdtemp(prefix="helios-disk-"))
    try:
        return mount(probe)
    finally:
        unmount(probe)
        probe.rmdir()
