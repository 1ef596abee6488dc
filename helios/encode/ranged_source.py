"""A source that is not on this machine: its worker gives out the parts that are asked for, by a Unix socket.

`helios.worker.ranged_inputs` is the other side, and describes how they talk.
"""

import errno
import os
import socket
import stat
import struct
from collections import OrderedDict
from pathlib import Path

from helios.media.blocks import BlockedFile

LONGEST_ADDRESS = 100
"""Bytes of a socket's path that the system takes, about; a longer one goes by the name of the open file."""
FAILED = 0xFFFFFFFF
KEPT_BLOCKS = 8
"""Demuxers go back and forth between a file's index and its pictures, or between pictures and sound."""
SILENT_SECONDS = 900.0
"""The worker ends a try to fetch a block long before."""


def is_ranged(path: Path) -> bool:
    """Whether a source is given out in parts."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


class RangedSource(BlockedFile):
    """A file that can be read and sought in, of which only what is read comes to this machine.

    Args:
        path: The socket.

    Raises:
        OSError: Nobody gives it out. Reading raises it, too, where the worker can't get a part.
    """

    def __init__(self, path: Path) -> None:
        self._socket = _connected(path)
        self._socket.settimeout(SILENT_SECONDS)
        self._file = self._socket.makefile("rb")
        self.size, self.block_bytes = struct.unpack(">QI", self._read_exactly(12))
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self._socket.close()

    def _read_block(self, number: int) -> bytes:
        if (kept := self._blocks.get(number)) is not None:
            self._blocks.move_to_end(number)
            return kept
        self._socket.sendall(struct.pack(">I", number))
        (length,) = struct.unpack(">I", self._read_exactly(4))
        if length == FAILED:
            raise OSError(errno.EIO, "the worker could not fetch a part of it")
        self._blocks[number] = block = self._read_exactly(length)
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _read_exactly(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) != count:
            raise OSError(errno.EIO, "the worker that gives it out is gone")
        return data


def _connected(path: Path) -> socket.socket:
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if len(os.fsencode(path)) <= LONGEST_ADDRESS:
            own.connect(str(path))
            return own
        there = os.open(path, os.O_PATH)
        try:
            own.connect(f"/proc/self/fd/{there}")
        finally:
            os.close(there)
    except OSError:
        own.close()
        raise
    return own
