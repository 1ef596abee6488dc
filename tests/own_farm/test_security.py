"""What somebody on the same network can do to a farm without its secret: nothing but connect."""

import asyncio
import os
import pickle
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from adapters.farm import FarmAdapter
from helios.own_farm.certificates import member_certificates
from helios.own_farm.join_token import draw_secret
from testbed.cloud.own_farm import OwnFarm

PATIENCE = 20.0


def doors(farm: OwnFarm) -> list[int]:
    """Every port on which a part of the farm listens, this process (the flow) included."""
    assert farm.scheduler is not None
    processes = [farm.scheduler.pid, *(node.pid for node in farm.nodes.values()), os.getpid()]
    return sorted({
        connection.laddr.port
        for pid in processes
        for connection in psutil.Process(pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    })  # fmt: skip


def client(secret: bytes | None) -> ssl.SSLContext:
    """A peer with the certificate of the farm with this secret; without any when None."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if secret is not None:
        _, certificate, key = member_certificates(secret)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(certificate + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def answer(port: int, context: ssl.SSLContext | None, said: bytes = b"") -> bytes:
    """What a door says to a stranger: empty once it has closed."""
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain) if context else plain as peer,
    ):
        peer.sendall(said)
        return peer.recv(65536)
    return b""


async def test_every_door_asks_for_the_certificate(farm: OwnFarm, farm_adapter: FarmAdapter) -> None:
    """Scheduler, nodes and flow: no word to plain text, to a peer without a certificate, or to one of another farm."""
    found = doors(farm)
    assert len(found) >= 4, "scheduler, two nodes, the flow"

    def knock() -> None:
        spoke = 0
        for port in found:
            assert answer(port, client(None)) == b""
            assert answer(port, client(draw_secret())) == b""
            spoke += answer(port, client(farm.token.secret)) != b""
        assert spoke >= 4, "who has the secret is greeted: else nothing was tried"

    await asyncio.to_thread(knock)
    assert len(await farm_adapter._look()) == 2


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_strangers_pickle_is_never_read(farm: OwnFarm, tmp_path: Path) -> None:
    """Bytes that would run a command when unpickled, in Dask's own frames, in plain text and from a foreign peer."""
    bomb = pickle.dumps(_Bomb(tmp_path / "run"))
    pickle.loads(bomb)  # noqa: S301  the weapon works
    (tmp_path / "run").unlink()
    frame = (1).to_bytes(8, "little") + len(bomb).to_bytes(8, "little") + bomb
    for port in doors(farm):
        for context in (None, client(draw_secret())):
            answer(port, context, frame)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def recorder(farm: OwnFarm) -> Iterator[tuple[int, list[bytes]]]:
    """A machine in the middle: passes one connection on to the scheduler, and keeps what the client sent."""
    sent: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def carry() -> None:
        with suppress(OSError):
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", farm.token.port))
            back = threading.Thread(target=pump, args=(far, near, None))
            back.start()
            pump(near, far, sent)
            back.join()

    def pump(source: socket.socket, target: socket.socket, keep: list[bytes] | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if keep is not None:
                    keep.append(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=carry)
    thread.start()
    yield listener.getsockname()[1], sent
    listener.close()
    thread.join()


def test_a_recorded_join_can_not_be_played_again(farm: OwnFarm, recorder: tuple[int, list[bytes]]) -> None:
    """TLS 1.3 draws new keys for each connection: recorded bytes are worth nothing."""
    port, sent = recorder
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain,
        client(farm.token.secret).wrap_socket(plain) as peer,
    ):
        assert peer.recv(65536) != b"", "the scheduler greets who has the secret"
    with socket.create_connection(("127.0.0.1", farm.token.port)) as stranger:
        stranger.settimeout(PATIENCE)
        stranger.sendall(b"".join(sent))
        stranger.shutdown(socket.SHUT_WR)
        said = b""
        with suppress(OSError):
            while data := stranger.recv(65536):
                said += data
    # A hello of TLS, which anybody gets, and alerts; no message of Dask's, which are encrypted for a key nobody has.
    context = ssl.MemoryBIO(), ssl.MemoryBIO()
    reader = client(farm.token.secret).wrap_bio(*context)
    context[0].write(said)
    with pytest.raises(ssl.SSLError):
        reader.do_handshake()
