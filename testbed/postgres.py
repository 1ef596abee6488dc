"""A PostgreSQL server for tests, from Debian's package, on a free port of loopback."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.cloud.processes import free_port

DEBIAN = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "pg_ctl", "createdb")


def find_programs() -> Path | None:
    """The folder of PostgreSQL's programs, if it is installed with its extensions: Prefect needs pg_trgm."""
    for folder in sorted(DEBIAN.glob("*/bin"), reverse=True):
        extension = Path("/usr/share/postgresql", folder.parent.name, "extension", "pg_trgm.control")
        if extension.exists() and all((folder / name).exists() for name in NEEDED):
            return folder if os.getuid() != 0 or _other_user() is not None else None
    return None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """Run a server within the block; yield the address of an empty database, as SQLAlchemy writes it."""
    folder = Path(tempfile.mkdtemp(prefix="helios-postgres-"))
    port, user = free_port(), _other_user() if os.getuid() == 0 else None
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(program: str, *words: str) -> None:
        log = (folder / "log.txt").open("ab")
        with log:
            done = subprocess.run(
                [programs / program, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False,
                timeout=300, user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                extra_groups=[] if user else None, env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )  # fmt: skip
        assert done.returncode == 0, (folder / "log.txt").read_text(errors="replace")

    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "prefect", "--auth", "trust", "--no-sync")
    # The server does not call fsync: a power cut would lose only a test's data.
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=200"
    run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "server.txt"), "-w", "-t", "240", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "prefect")
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> pwd.struct_passwd | None:
    """The user that runs the server if the tests run as root, which PostgreSQL refuses."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None
