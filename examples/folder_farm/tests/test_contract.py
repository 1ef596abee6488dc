"""The contract suite over the farm, with three workers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder_farm.adapter import FolderFarm, FolderFarmConfig

from helios import WorkerAdapter
from helios.testing import AdapterContract


class TestFolderFarm(AdapterContract):
    """The contract suite over the folder farm."""

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Iterator[WorkerAdapter]:
        """The adapter of a farm with three workers."""
        folder = tmp_path / "farm"
        workers = [subprocess.Popen([sys.executable, "-m", "folder_farm.worker", str(folder)]) for _ in range(3)]
        try:
            yield FolderFarm(FolderFarmConfig(folder=folder))
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()
