"""install.sh, which sets up a checkout. The tests use no network: a stand-in for uv works or fails."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    return tmp_path / "venv"


PYTHON = """#!/bin/sh
# Makes environments without pip, which takes seconds.
for venv; do :; done
exec {python} -m venv --without-pip "$venv"
"""
PIP = "import sys; sys.exit('install' in sys.argv)"


def _install(venv: Path, *, uv: str) -> int:
    """Run install.sh with a stand-in for uv, and one for pip that finds no package; return its exit code."""
    python, pip = venv.parent / "python", venv.parent / "pip" / "pip.py"
    pip.parent.mkdir(exist_ok=True)
    pip.write_text(PIP)
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    words = ["sh", "install.sh", str(venv), str(python), "app,examples", str(venv / ".installed-demo")]
    environment = {"PATH": "/usr/bin:/bin", "UV": uv, "PYTHONPATH": str(pip.parent)}
    return subprocess.run(words, cwd=CHECKOUT, env=environment, check=False, capture_output=True).returncode


def test_an_installation_is_marked_as_made_at_its_end(venv: Path) -> None:
    """A finished installation has its marker, and no longer the mark of an unfinished one."""
    assert _install(venv, uv="true") == 0
    assert (venv / ".installed-demo").exists()
    assert not (venv / ".installing").exists()
    assert (venv / "bin/python").exists()


def test_an_installation_that_failed_is_made_anew(venv: Path) -> None:
    """If neither uv nor pip could install, there is no marker, and the next installation starts from nothing."""
    assert _install(venv, uv="false") != 0
    assert not (venv / ".installed-demo").exists()
    (venv / "half-installed").touch()
    assert _install(venv, uv="true") == 0
    assert (venv / ".installed-demo").exists()
    assert not (venv / "half-installed").exists()


def test_packages_are_added_to_an_environment_that_is_whole(venv: Path) -> None:
    """Packages that are installed already stay when further packages are added."""
    assert _install(venv, uv="true") == 0
    (venv / "installed").touch()
    assert _install(venv, uv="true") == 0
    assert (venv / "installed").exists()
