"""Look at a source to encode, in pieces: each is a task, whose result Prefect keeps for every later look at the source.

A piece's key has the source's digest, so that a copy elsewhere is the same source, and one that was written to is not.
Machines that share result storage share what was found.
"""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import av
from prefect import get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Failed

from helios.encode.analysis import Analysis, begin, conclude, cpus_here, look_through
from helios.encode.found import Found
from helios.encode.pieces import Piece as Range
from helios.encode.pieces import PieceError, look_at, pieces_of, put_together
from helios.errors import RequestError
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.record_format import RecordFormat
from tasks.run.control import RunControl

REVISION = 1
"""Of what a look finds, and of how it is written: another one has sources looked at again."""
WHOLE = Range(None, None)


@dataclass(frozen=True)
class Piece:
    """A piece of a source to look at."""

    path: Path
    """The source."""
    digest: str
    """Of the source."""
    number: int
    """Of the piece, from 0."""
    range: Range
    """Where it lies."""
    with_scenes: bool
    """Whether scenes are looked for."""
    threads: int
    """Of its decoder."""

    @property
    def key(self) -> str:
        """Where Prefect keeps what was found."""
        what = (REVISION, av.__version__, self.digest, self.range.start, self.range.end, self.with_scenes)
        return f"helios-render/encode/{hashlib.sha256(repr(what).encode()).hexdigest()}"

    def look(self, stop: threading.Event) -> Found:
        """Look at it; a piece that is the whole source, in one go.

        Raises:
            RequestError, PieceError, av.FFmpegError, OSError: Something is wrong with the source, or `stop` was set.
        """
        if self.range == WHOLE:
            return look_through(self.path, with_scenes=self.with_scenes, on_picture=lambda _: _refuse_stopped(stop))
        return look_at(self.path, self.range, threads=self.threads, stop=stop)


def _refuse_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise PieceError("The look at the source was stopped")


def _key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    piece: Piece = parameters["piece"]
    return piece.key


@task(
    name="analyse",
    task_run_name="analyse-{number}",
    persist_result=True,
    result_serializer=RecordFormat(),
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_key),
)
async def analyse_piece(number: int, piece: Piece, stop: threading.Event) -> str | State[Any]:
    """Look at a piece of a source, with a thread of its own.

    Args:
        number: The piece's.
        piece: The piece.
        stop: Ends the look.

    Returns:
        What was found, as text; a Failed state with the error where it can't be looked at so.
    """
    try:
        found = await asyncio.to_thread(piece.look, stop)
    except (RequestError, PieceError) as exc:
        return Failed(message=str(exc), data=exc)
    except (av.FFmpegError, OSError) as exc:
        return Failed(message=str(exc), data=PieceError(str(exc)))
    get_run_logger().info("%d pictures in piece %d", len(found.times), number)
    return found.to_json()


async def analyse(path: Path, *, digest: str, with_scenes: bool, control: RunControl, log: RunLogger) -> Analysis:
    """Look at a source: its times, key frames, scenes, and what is wrong with it.

    Args:
        path: The source.
        digest: Of its content.
        with_scenes: Whether scenes are looked for, for which every picture is decoded.
        control: What pauses the run: no further piece begins meanwhile.
        log: Takes what people should know.

    Raises:
        RequestError: It can't be encoded.
    """
    await asyncio.to_thread(begin, path)
    cpus, found = cpus_here(), None
    ranges = await asyncio.to_thread(_ranges, path) if with_scenes else [WHOLE]
    if len(ranges) > 1:
        at_once = min(cpus, len(ranges))
        log.info("Looking at %s in %d pieces, %d at a time", path.name, len(ranges), at_once)
        pieces = [
            Piece(path, digest, number, one, with_scenes=with_scenes, threads=max(cpus // at_once, 1))
            for number, one in enumerate(ranges)
        ]
        try:
            found = await asyncio.to_thread(put_together, path, await _look_at_all(pieces, at_once, control))
        except (PieceError, RequestError) as exc:
            log.info("Looking at all of %s in one go: %s", path.name, exc)
    if found is None:
        whole = Piece(path, digest, len(ranges) if len(ranges) > 1 else 0, WHOLE, with_scenes=with_scenes, threads=0)
        found = (await _look_at_all([whole], 1, control))[0]
    return await asyncio.to_thread(conclude, path, found)


def _ranges(path: Path) -> list[Range]:
    try:
        return pieces_of(path)
    except (av.FFmpegError, OSError):
        return [WHOLE]  # the look in one go tells what is wrong


async def _look_at_all(pieces: list[Piece], at_once: int, control: RunControl) -> list[Found]:
    """Look at pieces, so many at a time; the first one that fails ends the others.

    Raises:
        RequestError, PieceError: One can't be looked at.
    """
    found: dict[int, Found] = {}
    errors: list[BaseException] = []
    stop, pending = threading.Event(), iter(pieces)

    try:
        async with asyncio.TaskGroup() as pullers:
            for _ in range(at_once):
                pullers.create_task(_pull(pending, found, errors, stop, control))
    finally:
        stop.set()  # threads that a cancellation has left behind
    if errors:
        raise errors[0]
    return [found[piece.number] for piece in pieces]


async def _pull(
    pending: Iterator[Piece], found: dict[int, Found], errors: list[BaseException], stop: threading.Event,
    control: RunControl,
) -> None:  # fmt: skip
    for piece in pending:
        await control.gate.wait()
        if stop.is_set():
            return
        state: State[Any] = await cast(Any, analyse_piece)(piece.number, piece, stop, return_state=True)
        result = await state.aresult(raise_on_failure=False)
        if isinstance(result, BaseException):
            errors.append(result)
            stop.set()
            return
        found[piece.number] = Found.from_json(result)
