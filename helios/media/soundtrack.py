"""The one sound track of a stitched video: decoded, laid out to the sample, encoded once."""

from fractions import Fraction
from pathlib import Path

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer

from helios.errors import RequestError
from helios.media.parameters import AudioParameters

BITS_PER_CHANNEL = 96_000
"""Bits per second and channel: 192 kbit/s for stereo, where AAC and Opus are hard to tell from the source."""
OPUS_RATE = 48_000
"""Opus codes at 48 kHz whatever it is given (RFC 6716, section 2)."""
SAMPLE_FORMAT = "fltp"
"""What is laid out; both encoders take it."""


class Soundtrack:
    """A sound track being written into an output.

    Samples are counted per channel, at the source's rate.

    Args:
        output: The container, before its first packet.
        source: Format of the sound that will be put in.
        encoder: FFmpeg's name of the encoder: aac or libopus.
    """

    def __init__(self, output: OutputContainer, *, source: AudioParameters, encoder: str) -> None:
        self.sample_rate = source.sample_rate
        self.written = 0
        """Samples encoded so far."""
        self._output = output
        self._layout = source.layout
        rate = OPUS_RATE if encoder == "libopus" else source.sample_rate
        stream = output.add_stream(encoder, rate=rate, layout=source.layout)
        assert isinstance(stream, AudioStream)  # noqa: S101  narrows the type: both are audio encoders
        self.stream = stream
        """In the output."""
        stream.bit_rate = BITS_PER_CHANNEL * stream.codec_context.channels
        self._converter = AudioResampler(format=SAMPLE_FORMAT, layout=source.layout, rate=source.sample_rate)
        self._fifo = AudioFifo()

    def feed(self, frame: AudioFrame, *, until: int) -> None:
        """Take decoded sound, and encode as much of what is held as keeps the track below `until` samples."""
        frame.pts = None
        for part in self._converter.resample(frame):
            part.pts = None
            self._fifo.write(part)
        self.advance(until=until)

    def advance(self, *, until: int) -> None:
        """Encode what is held, up to `until` samples in all."""
        if (count := min(self._fifo.samples, until - self.written)) > 0:
            self._encode(self._fifo.read(count))

    def settle(self, *, until: int) -> int:
        """Make the track exactly `until` samples long: drop what is held, fill what is missing with silence.

        Returns:
            Samples dropped, or, negative, samples of silence.
        """
        dropped, missing = self._fifo.samples, until - self.written
        self._fifo = AudioFifo()
        if missing > 0:
            silence = AudioFrame(format=SAMPLE_FORMAT, layout=self._layout, samples=missing)
            silence.sample_rate = self.sample_rate
            for plane in silence.planes:
                plane.update(bytes(plane.buffer_size))
            self._encode(silence)
        return dropped - missing

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._output.mux(self.stream.encode(None))

    def _encode(self, frame: AudioFrame | None) -> None:
        if frame is None:
            return
        frame.pts = self.written
        frame.time_base = Fraction(1, self.sample_rate)
        self.written += frame.samples
        self._output.mux(self.stream.encode(frame))


def check_audio_file(path: Path) -> None:
    """Refuse a sound file that can't be used.

    Raises:
        RequestError: Says what is wrong with it.
    """
    container, _ = open_sound(path)
    container.close()


def open_sound(path: Path) -> tuple[InputContainer, AudioParameters]:
    """Open a file for its first sound track.

    Raises:
        RequestError: Says what is wrong with it.
    """
    try:
        container = av.open(str(path.absolute()), "r")
    except (av.FFmpegError, OSError) as exc:
        raise RequestError(f"{path} can't be read as sound: {exc.strerror}; expected a sound file") from None
    if not container.streams.audio:
        container.close()
        raise RequestError(f"{path} has no sound track; expected a sound file")
    return container, AudioParameters.of(container.streams.audio[0])
