"""What a process consumes between two moments: CPU time, peak memory, bytes that it writes. Linux only."""

import os
from contextlib import suppress
from pathlib import Path

import psutil


class ProcessMeter:
    """Measures one process, and its children if they are part of it.

    Args:
        name: Prefix of the measures' names.
        pid: The process.
        with_children: Include child processes: PostgreSQL has one for each connection.
    """

    def __init__(self, name: str, pid: int | None = None, *, with_children: bool = False) -> None:
        self.name = name
        self._pid = pid or os.getpid()
        self._with_children = with_children
        self._cpu, self._written = 0.0, 0

    def start(self) -> None:
        """Begin a new measurement."""
        for pid in self._processes():
            with suppress(OSError):
                # proc(5), clear_refs: 5 forgets the peak of the resident memory.
                Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._cpu, self._written = self.cpu_seconds(), self._written_bytes()

    def read(self) -> dict[str, float]:
        """`NAME_cpu_seconds`, `NAME_peak_mb` and `NAME_written_mb` since the start."""
        return {
            f"{self.name}_cpu_seconds": self.cpu_seconds() - self._cpu,
            f"{self.name}_peak_mb": sum(map(peak_mb, self._processes())),
            f"{self.name}_written_mb": (self._written_bytes() - self._written) / 1e6,
        }

    def _processes(self) -> list[int]:
        children = psutil.Process(self._pid).children(recursive=True) if self._with_children else []
        return [self._pid, *(child.pid for child in children)]

    def cpu_seconds(self) -> float:
        """CPU time since the process began."""
        total = 0.0
        for pid in self._processes():
            with suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system
                if self._with_children:
                    total += times.children_user + times.children_system  # children that have ended
        return total

    def _written_bytes(self) -> int:
        """Bytes that were handed to the kernel; the disk may get fewer, and later."""
        total = 0
        for pid in self._processes():
            with suppress(OSError):
                total += int(Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0])
        return total


def peak_mb(pid: int | None = None) -> float:
    """Peak resident memory of a process; of this one by default."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid or os.getpid()}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    return 0.0
