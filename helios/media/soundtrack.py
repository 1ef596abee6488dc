"""A sound track of a stitched video: decoded sound, laid out to the sample, encoded once."""

from fractions import Fraction

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from helios.media.parameters import AudioParameters
from helios.media.sound_order import SoundEncoder

BITS_PER_CHANNEL = 96_000
"""Bits per second and channel: 192 kbit/s for stereo, where AAC and Opus are hard to tell from the source."""
OPUS_RATE = 48_000
"""Opus codes at 48 kHz whatever it is given (RFC 6716, section 2)."""


class Soundtrack:
    """A sound track being written into an output.

    Samples are counted per channel, at the source's rate.

    Args:
        output: The container, before its first packet.
        source: Format of the sound that will be put in.
        encoder: How it is written.
    """

    def __init__(self, output: OutputContainer, *, source: AudioParameters, encoder: SoundEncoder) -> None:
        self.sample_rate = source.sample_rate
        self.written = 0
        """Samples encoded so far."""
        self._output = output
        self._layout = source.layout
        self._format = encoder.sample_format
        rate = rate_for(encoder.name, source.sample_rate)
        stream = output.add_stream(encoder.name, rate=rate, layout=source.layout)
        assert isinstance(stream, AudioStream)  # noqa: S101  narrows the type: all are audio encoders
        self.stream = stream
        """In the output."""
        if encoder.is_lossless:
            stream.codec_context.format = self._format
        else:
            stream.bit_rate = BITS_PER_CHANNEL * stream.codec_context.channels
        self._converter = AudioResampler(format=self._format, layout=source.layout, rate=source.sample_rate)
        self._silencer = AudioResampler(format=self._format, layout=source.layout, rate=source.sample_rate)
        self._fifo = AudioFifo()
        self._silent = 0
        """Samples of silence before what the fifo holds."""

    def feed(self, frame: AudioFrame, *, until: int, at: int | None = None, slack: int = 0) -> None:
        """Take decoded sound, and encode as much of what is held as keeps the track below `until` samples.

        Args:
            frame: Sound of any format, at the source's rate.
            until: Samples.
            at: The sample where its first one belongs: before it there is silence, and what was laid there already is
                left out. By default it follows what is held.
            slack: Samples by which `at` may be wrong: then the frame follows what is held.
        """
        frame.pts = None
        gap = 0 if at is None else at - self.written - self._silent - self._fifo.samples
        if gap > slack and not self._fifo.samples:
            self._silent += gap
        parts = self._converter.resample(frame)
        for part in _without_start(parts, -gap) if gap < -slack else parts:
            part.pts = None
            self._fifo.write(part)
        self.advance(until=until)

    def advance(self, *, until: int) -> None:
        """Encode what is held, up to `until` samples in all."""
        self._be_silent(silent := max(min(self._silent, until - self.written), 0))
        self._silent -= silent
        if (count := min(self._fifo.samples, until - self.written)) > 0:
            self._encode(self._fifo.read(count))

    def settle(self, *, until: int) -> int:
        """Make the track exactly `until` samples long: drop what is held, fill what is missing with silence.

        Returns:
            Samples dropped, or, negative, samples of silence.
        """
        dropped, missing = self._fifo.samples, until - self.written
        self._fifo, self._silent = AudioFifo(), 0
        self._be_silent(missing)
        return dropped - missing

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._output.mux(self.stream.encode(None))

    def _be_silent(self, samples: int) -> None:
        """Encode silence, a second at a time."""
        end = self.written + samples
        while (count := min(end - self.written, self.sample_rate)) > 0:
            # Packed samples, which have one plane: with a plane for each of 8 channels, PyAV reads past the last one.
            silence = AudioFrame(format="s16", layout=self._layout, samples=count)
            silence.sample_rate = self.sample_rate
            silence.planes[0].update(bytes(silence.planes[0].buffer_size))
            for part in self._silencer.resample(silence):
                self._encode(part)

    def _encode(self, frame: AudioFrame | None) -> None:
        if frame is None:
            return
        frame.pts = self.written
        frame.time_base = Fraction(1, self.sample_rate)
        self.written += frame.samples
        self._output.mux(self.stream.encode(frame))


def rate_for(encoder: str, rate: int) -> int:
    """The rate at which an encoder takes sound: the sound's own, or the largest below it, or the encoder's smallest."""
    rates = av.Codec(encoder, "w").audio_rates
    if encoder == "libopus":
        return OPUS_RATE
    if not rates or rate in rates:
        return rate
    return max((one for one in rates if one < rate), default=min(rates))


def _without_start(parts: list[AudioFrame], samples: int) -> list[AudioFrame]:
    """Frames without their first samples."""
    cutter = AudioFifo()
    for part in parts:
        part.pts = None
        cutter.write(part)
    cutter.read(min(samples, cutter.samples))
    rest = cutter.read()
    return [rest] if rest is not None else []
