"""Input files of which a command gets the parts that it asks for, instead of the whole file.

Where the command expects such a file it finds a Unix socket. Each connection begins with what the worker says, all
numbers big-endian, and goes on with a question and its answer, again and again:

    worker   >QI   the file's size, and that of a block, in bytes
    command  >I    number of a block
    worker   >I    its length, and the block; FAILED where it can't be had, and the end

A socket, because a command has neither the worker's credentials nor, in a sandbox, a network. The command's side is
`helios.encode.ranged_source`.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from helios.adapter import OutputSink
from helios.errors import HeliosError, WorkerUnavailableError
from helios.job.assets import AssetBundle
from helios.job.block_list import BLOCK_BYTES, block_count
from helios.models.worker import WorkerResult
from helios.processes.command_user import CommandUser
from helios.worker.block_reader import BlockCache, BlockReader

FAILED = 0xFFFFFFFF
"""Instead of a block's length: there is none to be had."""


class RangedInputs:
    """The files of one attempt whose parts are fetched when the command asks for them.

    Args:
        bundle: All input files.
        lists: Names of such files, each with the SHA-256 of the list of its blocks.
        cache: Blocks of all files of this worker.
    """

    def __init__(self, bundle: AssetBundle, lists: Mapping[str, str], cache: BlockCache) -> None:
        self._files = [
            BlockReader(asset, folder_url=bundle.storage_url, list_digest=lists[asset.path], cache=cache)
            for asset in bundle.assets
            if asset.path in lists
        ]
        self.rest = bundle.model_copy(update={"assets": tuple(one for one in bundle.assets if one.path not in lists)})
        """The files that are fetched as a whole."""
        self._error: HeliosError | None = None

    async def around(
        self, command: Coroutine[Any, Any, WorkerResult], folder: Path, *, user: CommandUser | None, log: OutputSink
    ) -> WorkerResult:
        """Await a command, and give out the files meanwhile.

        Args:
            command: The command.
            folder: Where it has its input files.
            user: As whom it runs; None for this process's user.
            log: Gets a line about each file: how much of it was fetched.

        Raises:
            HeliosError: A part could not be had, and the command failed.
        """
        try:
            async with AsyncExitStack() as stack:
                for file in self._files:
                    await stack.enter_async_context(self._served(file, folder / file.asset.path, user))
                ended = await command
        finally:
            command.close()  # it was not begun where a file can't be given out
        if ended.exit_code != 0 and self._error is not None:
            raise self._error
        for file in self._files:
            line = f"{file.fetched} of the {file.asset.bytes} bytes of {file.asset.path} were fetched"
            log("stderr", line)
            ended = ended.model_copy(update={"stderr": f"{ended.stderr}{line}\n"})
        return ended

    @asynccontextmanager
    async def _served(self, file: BlockReader, path: Path, user: CommandUser | None) -> AsyncIterator[None]:
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  coroutines run in tasks
            talks.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):  # the command has closed it
                    await self._talk(file, reader, writer)
            finally:
                talks.discard(task)
                writer.close()

        try:
            server = await asyncio.start_unix_server(talk, sock=_listening(path))
            if user is not None:
                user.give(path)
        except OSError as exc:
            raise WorkerUnavailableError(f"The worker can't give out {file.asset.path}: {exc.strerror}") from exc
        try:
            yield
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await _ended(list(talks))

    async def _talk(self, file: BlockReader, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(struct.pack(">QI", file.asset.bytes, BLOCK_BYTES))
        while True:
            (number,) = struct.unpack(">I", await reader.readexactly(4))
            try:
                if number >= block_count(file.asset.bytes):
                    raise WorkerUnavailableError(f"{file.asset.path} has no block {number}")
                block = await file.block(number)
            except HeliosError as exc:
                self._error = exc
                writer.write(struct.pack(">I", FAILED))
                return
            writer.write(struct.pack(">I", len(block)) + block)
            await writer.drain()


def _listening(path: Path) -> socket.socket:
    """A socket at a path of any length: the system takes 107 bytes, and its own names of open folders are short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        own.bind(f"/proc/self/fd/{folder}/.served")
        path.with_name(".served").chmod(0o600)
        path.with_name(".served").rename(path)
    finally:
        os.close(folder)
    return own


async def _ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    if tasks:
        await asyncio.wait(tasks)
