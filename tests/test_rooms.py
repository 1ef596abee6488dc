"""Imports go one way: the core imports no room above it, a worker starts light, and the wheel has the core alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = ["prefect", "prefect_aws", "boto3", "botocore", "google", "adapters", "tasks", "flows", "farm", "cli"]


def test_the_core_pulls_in_neither_prefect_nor_a_cloud() -> None:
    """A fresh interpreter that imports every module of helios has imported nothing of the rooms above."""
    script = (
        "import importlib, pkgutil, sys, helios\n"
        "names = [m.name for m in pkgutil.walk_packages(helios.__path__, 'helios.') if m.name != 'helios.testing']\n"
        "for name in names: importlib.import_module(name)\n"
        f"print(len(names), sorted(set(sys.modules) & set({FORBIDDEN!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    count, found = done.stdout.split(maxsplit=1)
    assert int(count) >= 15
    assert found.strip() == "[]"


def test_a_worker_s_handler_imports_little() -> None:
    """The Lambda handler imports little, since a cold start waits for every import; a render imports the rest."""
    script = "import sys, helios.worker.aws_lambda; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    imported = set(done.stdout.split())
    assert "helios.worker.runtime" in imported
    assert imported.isdisjoint(
        {*FORBIDDEN, "av", "numpy", "psutil", "urllib.request", "importlib.metadata", "starlette"}
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, built with the build backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    script = (
        f"import os; os.chdir({str(ROOT)!r}); from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_helios_alone(wheel: Path) -> None:
    """The wheel has no room above the core, and no command that would need one; its programs are the core's."""
    packed = zipfile.ZipFile(wheel)
    names = packed.namelist()
    assert "helios/processes/command.py" in names
    assert "helios/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"helios"}
    assert not any(".data/" in name for name in names)
    (points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert packed.read(points).decode().split("\n") == [
        "[console_scripts]",
        "helios-encode-chunk = helios.encode.program:main",
        "helios-openjd-chunk = helios.openjd.program:main",
        "helios-page = helios.page.program:main",
        "",
    ]


def test_the_wheel_works_by_itself(wheel: Path, tmp_path: Path) -> None:
    """The wheel has everything that a third-party adapter imports."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = "import helios, helios.media.stitching, helios.processes.command; print(helios.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}"],
        capture_output=True, text=True, check=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))
