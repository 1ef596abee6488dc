"""Find out what a container has a place for: a file that says one thing alone is written into memory, and read back.

What a video lost, and its container has a place for, is a fault of the join, and never passes as a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.media.carried import Said, Track, Unsaid
from helios.media.chapters import Chapter, chapters_of, lost_chapters, write_chapters
from helios.media.stream_facts import StreamFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

FRAMES = 3
"""Key frames in such a file: the index of a fragmented one is written when the second begins."""
VIDEO_ENCODERS = {"webm": "libvpx"}
"""Of the frames in such a file; MPEG-4 elsewhere."""
SOUND_ENCODERS = {"webm": "libopus"}
"""Of the moment of silence in such a file; AAC elsewhere."""
INDEX_IN_FRONT = "faststart"
"""Has MP4 and MOV begin with their index, so that players begin before they have the whole file. FFmpeg moves the
data once the index is known; for this it opens the file by its name, which a file in memory has not."""


@dataclass(frozen=True)
class Places:
    """What FFmpeg writes into a kind of file, and finds in it again."""

    container: str
    """FFmpeg's name of the format."""
    options: Mapping[str, str]
    """Of its muxer."""

    def has(self, fact: Unsaid) -> bool:
        """Whether a fact is in a file that says nothing else."""
        with self._written(tags=fact.tags, video=None if fact.is_sound else fact.track,
                           sound=fact.track if fact.is_sound else None) as file:  # fmt: skip
            video = file.streams.video[0]
            sound = file.streams.audio[0] if file.streams.audio else None
            found = Said.of(file, video, sound, facts=StreamFacts())
            if fact.track is None:
                return not list(Unsaid.of_tags(fact.tags, found.tags))
            track = found.audio if fact.is_sound else found.video
            return track is not None and not list(fact.track.missing_in(track))

    def lost_chapters(self, chapters: Sequence[Chapter]) -> list[str]:
        """What is lost of chapters in a file that says nothing else."""
        with self._written(chapters=chapters) as file:
            return lost_chapters(chapters, chapters_of(file, at=Fraction(0), seconds=None))

    def said(self, *, tags: Mapping[str, str], video: Track | None) -> Said:
        """What a file says about itself and its video that was to say this."""
        with self._written(tags=tags, video=video) as file:
            return Said.of(file, file.streams.video[0], None, facts=StreamFacts())

    @contextmanager
    def _written(
        self,
        *,
        tags: Mapping[str, str] | None = None,
        video: Track | None = None,
        sound: Track | None = None,
        chapters: Sequence[Chapter] = (),
    ) -> Iterator[InputContainer]:
        file, options = BytesIO(), {key: value for key, value in self.options.items() if key != "min_frag_duration"}
        if flags := set(options.pop("movflags", "").split("+")) - {INDEX_IN_FRONT, ""}:
            options["movflags"] = "+".join(flags)
        with av.open(file, "w", format=self.container, container_options=options) as output:
            output.metadata.update(tags or {})
            pictures = output.add_stream(VIDEO_ENCODERS.get(self.container, "mpeg4"), rate=25)
            assert isinstance(pictures, VideoStream)  # noqa: S101  narrows the type: it is a video encoder
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
            pictures.gop_size = 1
            if video is not None:
                video.put_on(pictures)
            heard = _add_sound(output, SOUND_ENCODERS.get(self.container, "aac"), sound) if sound is not None else None
            for _ in range(FRAMES):
                output.mux(pictures.encode(VideoFrame(64, 64, "yuv420p")))
            output.mux(pictures.encode(None))
            if heard is not None:
                output.mux([*heard.encode(_silence()), *heard.encode(None)])
            if chapters:  # after the first frame, as in a join, which learns them chunk by chunk
                write_chapters(output, chapters)
        with av.open(BytesIO(file.getvalue()), "r") as written:
            yield written


def _add_sound(output: av.container.OutputContainer, encoder: str, words: Track) -> AudioStream:
    stream = output.add_stream(encoder, rate=48_000, layout="mono")
    assert isinstance(stream, AudioStream)  # noqa: S101  narrows the type: it is an audio encoder
    words.put_on(stream)
    return stream


def _silence() -> AudioFrame:
    frame = AudioFrame("s16", "mono", 2_048)
    frame.planes[0].update(bytes(2 * 2_048))
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    return frame
