"""How a node hands what it rendered to its flow: a real server and real connections, over TLS."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helios.errors import OutputError, WorkerUnavailableError
from helios.models.invocation import ChunkAnswer
from helios.models.worker import Artifact
from helios.own_farm.certificates import farm_security
from helios.own_farm.engine import BEAT_SECONDS, SILENCE_SECONDS, beat_seconds, set_up_engine
from helios.own_farm.join_token import draw_secret
from helios.own_farm.peer_delivery import PeerDelivery
from helios.own_farm.peer_storage import PeerStorage
from helios.own_farm.served_storage import PIECE_BYTES, FolderServer, ServedStorage, prepare_folder
from helios.storage.urls import join_url


class Link(NamedTuple):
    """A flow's side and a node's."""

    folder: Path
    server: FolderServer
    storage: PeerStorage
    attempt: str

    def delivery(self, execution: str = "one") -> PeerDelivery:
        """The delivery of one execution of the attempt."""
        return PeerDelivery(self.attempt, execution, storage=self.storage, called_off=asyncio.Event())


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[Link]:
    set_up_engine()
    from distributed.core import ConnectionPool

    security, folder = farm_security(draw_secret()), tmp_path / "served"
    prepare_folder(folder)
    server = FolderServer(folder, security)
    url = f"farm://{await server.open('127.0.0.1')}"
    pool: Any = ConnectionPool(connection_args=security.get_connection_args("worker"))
    await pool.start()
    yield Link(folder, server, PeerStorage(url, pool), join_url(url, "jobs", "chunk-0", "attempt-1"))
    await pool.close()
    await server.close()


def outputs(link: Link) -> list[Path]:
    return [path for path in (link.folder / "jobs").rglob("*") if path.is_file()]


async def test_an_answer_arrives_with_its_files(link: Link, tmp_path: Path) -> None:
    """A small file comes with the answer and a large one before it, each whole; they are there when the answer is."""
    small, large = tmp_path / "log.jsonl", tmp_path / "out.mp4"
    small.write_bytes(b"lines")
    large.write_bytes(os.urandom(2 * PIECE_BYTES + 1))
    delivery = link.delivery()
    with link.server.awaiting(link.attempt) as answer:
        kept = [await delivery.keep(path, path.name) for path in (small, large)]
        assert [path.read_bytes() for path in outputs(link)] == [large.read_bytes()]
        await delivery.finish(ChunkAnswer(exit_code=0, artifact=kept[1], log=kept[0]))
        assert b"out.mp4" in answer.result()
    assert sorted(path.read_bytes() for path in outputs(link)) == sorted([small.read_bytes(), large.read_bytes()])
    assert [one.sha256 for one in kept] == [hashlib.sha256(one.read_bytes()).hexdigest() for one in (small, large)]


async def test_a_late_answer_is_refused(link: Link, tmp_path: Path) -> None:
    """An attempt that the flow has given up, or has an answer of, leaves nothing there."""
    large = tmp_path / "out.mp4"
    large.write_bytes(bytes(PIECE_BYTES + 1))
    with link.server.awaiting(link.attempt):
        await link.delivery("one").finish(ChunkAnswer(exit_code=0))
        for execution in ("two", "three"):
            late = link.delivery(execution)
            await late.keep(large, "out.mp4")
            with pytest.raises(WorkerUnavailableError, match="waits for the chunk no more"):
                await late.finish(ChunkAnswer(exit_code=0))
    with pytest.raises(WorkerUnavailableError, match="waits for the chunk no more"):
        await link.delivery("four").finish(ChunkAnswer(exit_code=0))
    assert outputs(link) == []


async def test_what_was_changed_is_not_handed_over(link: Link, tmp_path: Path) -> None:
    """A file that is not what was verified, and one that arrives as another than was sent, are refused."""
    path = tmp_path / "out.mp4"
    for size in (1, PIECE_BYTES + 1):
        path.write_bytes(bytes(size))
        with pytest.raises(OutputError, match="was changed since it was verified"):
            await link.delivery().keep(path, "out.mp4", expected="0" * 64)
    with link.server.awaiting(link.attempt) as answer:
        with pytest.raises(WorkerUnavailableError, match="another digest"):
            await link.storage.deliver(link.attempt, [("jobs/chunk-0/out.mp4", b"x", "0" * 64)], b"{}")
        assert not answer.done()
    assert outputs(link) == []


async def test_an_output_is_moved_to_its_place(tmp_path: Path) -> None:
    """The flow takes an output that it has received by its name alone, and only if it is as large as was said."""
    storage, place = ServedStorage(tmp_path / "served", "127.0.0.1:1"), tmp_path / "out.mp4"
    await storage.write("jobs/a/out.mp4", b"frames")
    stored = await storage.digest("jobs/a/out.mp4")
    kept = (tmp_path / "served" / "jobs" / "a" / "out.mp4").stat().st_ino
    artifact = Artifact(url=storage.url_of("jobs/a/out.mp4"), bytes=stored[1], sha256=stored[0])
    with pytest.raises(WorkerUnavailableError, match="damaged, or replaced"):
        await storage.take("jobs/a/out.mp4", place, expected=artifact.model_copy(update={"bytes": 5}))
    await storage.take("jobs/a/out.mp4", place, expected=artifact)
    assert (place.read_bytes(), place.stat().st_ino) == (b"frames", kept)
    with pytest.raises(FileNotFoundError):
        await storage.take("jobs/a/out.mp4", place, expected=artifact)


def test_reports_grow_rarer_with_nodes() -> None:
    """Few nodes report each second, many of them less often, and none so rarely that it counts as silent."""
    assert [beat_seconds(nodes) for nodes in (1, 8, 24, 1000)] == [1.0, 1.0, 3.0, BEAT_SECONDS[1]]
    assert 3 * BEAT_SECONDS[1] <= SILENCE_SECONDS
