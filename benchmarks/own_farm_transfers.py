"""Outputs on their way from a node to the flow's machine: the farm's own way, against copying over the same link.

`python -m benchmarks.own_farm_transfers ADDRESS SECRET FILE COUNT` is a node's side.
"""

import asyncio
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import Goal, Table, compare
from helios.bounded import map_bounded
from helios.own_farm.certificates import farm_security
from helios.own_farm.engine import set_up_engine
from helios.own_farm.join_token import draw_secret
from helios.own_farm.peer_storage import PeerStorage
from helios.own_farm.served_storage import FolderServer, prepare_folder
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.cloud.network import Network, NoNetworkError, a_network

MEGABYTES, AT_ONCE, MEGABITS = 50, 4, 1000
NODE = "node-0"
OURS, COPY = "the farm's own way: TLS, digests checked", "a copy over a bare connection"
SHARED, CP = "a shared folder (file://), digests checked", "cp"


def measure_transfers(files: int) -> list[Table]:
    """Measure files of 50 MB over a link of 1 Gbit/s, and over a shared folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source = folder / "output.bin"
        source.write_bytes(os.urandom(MEGABYTES * 1_000_000))
        try:
            network = stack.enter_context(a_network())
            network.join(NODE)
            network.limit(NODE, megabits=MEGABITS)
        except NoNetworkError:
            network = None
        return [asyncio.run(_over_the_link(network, source, files)), asyncio.run(_shared(source, files))]


async def _over_the_link(network: Network | None, source: Path, files: int) -> Table:
    link = f"a link of {MEGABITS / 1000:g} Gbit/s" if network else "loopback"
    figures = await compare(
        {OURS: lambda: _peer(network, source, files), COPY: lambda: _bare(network, source, files)}, runs=2
    )
    title = f"{files} outputs of {MEGABYTES} MB, {AT_ONCE} at a time, over {link}"
    table = Table(title=title, figures=figures, reference=COPY)
    goal = Goal(text=f"{title}: at most 1.3 times a bare copy", value=table.ratio(table.figure(OURS)) or 0, most=1.3)
    return table.model_copy(update={"goals": (goal,)})


async def _peer(network: Network | None, source: Path, files: int) -> None:
    """Let a process on the node upload a file many times."""
    set_up_engine()
    secret, folder = draw_secret(), source.parent / "served"
    prepare_folder(folder)
    served = FolderServer(folder, farm_security(secret))
    address = await served.open(network.host if network else "127.0.0.1")
    words = [sys.executable, "-m", "benchmarks.own_farm_transfers", address, secret.hex(), str(source), str(files)]
    process = await asyncio.create_subprocess_exec(*(network.words(NODE) if network else []), *words)
    assert await process.wait() == 0
    await served.close()
    assert len(list(folder.glob("out-*"))) == files
    shutil.rmtree(folder)


async def _bare(network: Network | None, source: Path, files: int) -> None:
    """Let a process on the node send the same files through as many bare connections, one for each file."""
    folder = source.parent / "copied"
    folder.mkdir()
    with socket.create_server((network.host if network else "127.0.0.1", 0), backlog=files) as listener:
        thread = threading.Thread(target=_receive, args=(listener, folder, files))
        thread.start()
        host, port = listener.getsockname()
        words = [*(network.words(NODE) if network else []), sys.executable, "-c", SENDER, host, str(port), str(source)]
        process = await asyncio.create_subprocess_exec(*words, str(files), str(AT_ONCE))
        assert await process.wait() == 0
        await asyncio.to_thread(thread.join)
    assert all(path.stat().st_size == source.stat().st_size for path in folder.iterdir())
    shutil.rmtree(folder)


SENDER = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
host, port, source, files, at_once = sys.argv[1:]
def send(_):
    with socket.create_connection((host, int(port))) as link, open(source, "rb") as file:
        link.sendfile(file)
list(ThreadPoolExecutor(int(at_once)).map(send, range(int(files))))
"""


def _receive(listener: socket.socket, folder: Path, files: int) -> None:
    def take(link: socket.socket, path: Path) -> None:
        with link, path.open("wb") as file:
            while piece := link.recv(1 << 20):
                file.write(piece)

    threads = []
    for number in range(files):
        link, _ = listener.accept()
        threads.append(threading.Thread(target=take, args=(link, folder / str(number))))
        threads[-1].start()
    for thread in threads:
        thread.join()


async def _shared(source: Path, files: int) -> Table:
    """The same over a folder that both sides see."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage = Storage(StorageSettings(url=(source.parent / "shared").as_uri()))

    async def ours() -> None:
        async def upload(number: int) -> None:
            await storage.upload(source, f"out-{number}", expected=digest)

        await map_bounded(upload, range(files), limit=AT_ONCE)
        shutil.rmtree(source.parent / "shared")

    async def copy() -> None:
        folder = source.parent / "copies"
        folder.mkdir()
        script = f'seq {files} | xargs -P {AT_ONCE} -I N cp "{source}" "{folder}/N"'
        await asyncio.to_thread(subprocess.run, ["sh", "-c", script], check=True)
        shutil.rmtree(folder)

    figures = await compare({SHARED: ours, CP: copy}, runs=2)
    title = f"{files} outputs of {MEGABYTES} MB, {AT_ONCE} at a time, to a shared folder"
    return Table(title=title, figures=figures, reference=CP)


async def _upload_all(address: str, secret: bytes, source: Path, files: int) -> None:
    set_up_engine()
    from distributed.core import ConnectionPool

    pool = ConnectionPool(connection_args=farm_security(secret).get_connection_args("worker"))
    await pool.start()
    storage = PeerStorage(f"farm://{address}", pool)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    async def upload(number: int) -> None:
        await storage.upload(source, f"out-{number}", expected=digest)

    await map_bounded(upload, range(files), limit=AT_ONCE)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(_upload_all(sys.argv[1], bytes.fromhex(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
