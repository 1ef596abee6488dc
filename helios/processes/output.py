"""Read a command's output in bounded memory: lines for a sink, and a tail for messages."""

import codecs
import io

from helios.adapter import OutputSink, Stream
from helios.plain_text import plain

TAIL_BYTES = 16 * 1024
"""How much of the end of each stream is kept."""
MAX_LINE_CHARACTERS = 64 * 1024
"""A longer line reaches the sink in pieces of this size."""


class OutputReader:
    r"""Takes one stream's bytes as they come, hands on lines, keeps the tail.

    Args:
        stream: Which of the two streams this is.
        sink: Called with each line, without its line end. `\n`, `\r\n` and a lone `\r` (progress
            meters) end a line. Bytes that are not UTF-8 become U+FFFD. What a terminal would carry out, such as
            colours, is left out or made visible (`helios.plain_text`), in lines and tail.
    """

    def __init__(self, stream: Stream, sink: OutputSink | None) -> None:
        self._stream = stream
        self._sink = sink
        self._tail = bytearray()
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        self._rest = ""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._tail += data[-TAIL_BYTES:]
        if len(self._tail) > 4 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        if self._sink is not None:
            self._emit(self._decoder.decode(data))

    def close(self) -> None:
        """Hand on what is left without a line end."""
        if self._sink is None:
            return
        self._emit(self._decoder.decode(b"", final=True))
        if self._rest:
            self._emit_line(self._rest)
            self._rest = ""

    @property
    def tail(self) -> str:
        """The end of the stream, at most `TAIL_BYTES` of it, cut at a character."""
        kept = bytes(self._tail[-TAIL_BYTES:])
        if len(self._tail) > TAIL_BYTES:
            # A cut may have left the last bytes of a character in front: up to three of 0b10xxxxxx.
            start = next((i for i in range(4) if kept[i] & 0xC0 != 0x80), 0)
            kept = kept[start:]
        return plain(kept.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"))

    def _emit(self, text: str) -> None:
        assert self._sink is not None  # noqa: S101  narrows the type; both callers checked
        *lines, rest = text.split("\n")
        if lines:
            lines[0] = self._rest + lines[0]
            self._rest = rest
        else:
            self._rest += rest
        for line in lines:
            self._emit_line(line)
        while len(self._rest) >= MAX_LINE_CHARACTERS:
            self._sink(self._stream, plain(self._rest[:MAX_LINE_CHARACTERS]))
            self._rest = self._rest[MAX_LINE_CHARACTERS:]

    def _emit_line(self, line: str) -> None:
        assert self._sink is not None  # noqa: S101
        line = plain(line)
        for start in range(0, max(len(line), 1), MAX_LINE_CHARACTERS):
            self._sink(self._stream, line[start : start + MAX_LINE_CHARACTERS])
