"""AWS's own runtime interface emulator, taken from the wheel of aws-sam-cli."""

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from testbed.cloud.processes import ROOT

WHEEL = "aws-sam-cli==1.170.0"
PLACE = ROOT / "build" / "cloud" / "aws-lambda-rie"


def emulator() -> Path:
    """Return the program; the first call fetches it from the package index."""
    if not PLACE.exists():
        machine = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
        PLACE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PLACE.parent) as folder:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
            subprocess.run(pip, check=True, timeout=300, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
            (wheel,) = Path(folder).glob("*.whl")
            program = Path(folder, "program")
            program.write_bytes(zipfile.ZipFile(wheel).read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
            program.chmod(0o755)
            program.replace(PLACE)
    return PLACE


if __name__ == "__main__":
    print(emulator())
