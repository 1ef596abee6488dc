"""One video being joined: where the next frame and the next sample go, and what is said about them."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from contextlib import ExitStack, nullcontext, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from helios.errors import OutputError, RequestError
from helios.media.accepted_file import StitchInput
from helios.media.carried import MATROSKA, Said, Track, Unsaid, add_video, tag_for
from helios.media.chapters import Chapter, extend, lost_chapters, write_chapters
from helios.media.chunk_file import ChunkFile
from helios.media.containers import check_container, container_of
from helios.media.delivery import check_delivered, muxer_options, say
from helios.media.joined_sound import JoinedSound
from helios.media.matroska_aspect import write_aspect
from helios.media.parameters import AudioParameters, PacketParameters, VideoParameters
from helios.media.places import Places
from helios.media.sound_order import SoundOrder
from helios.media.source_file import SourceFile
from helios.media.timing import Timing
from helios.models.delivery import LANGUAGE, NO_DELIVERY, Delivery


class Join:
    """One output being written, and where its next frame and its next sample go."""

    def __init__(
        self,
        path: Path,
        *,
        output: Path,
        fps: Fraction,
        first: StitchInput,
        chunk: ChunkFile,
        order: SoundOrder,
        sound: AudioParameters | None = None,
        delivery: Delivery = NO_DELIVERY,
        source: SourceFile | None = None,
    ) -> None:
        self.fps = fps
        """Frames per second."""
        self.first = first
        """The chunk that the others must fit, and whose words are carried."""
        self.said: Said = say(source.said(chunk.said) if source else chunk.said, delivery)
        """What the video is to say about its pictures and its sound: what that chunk says, and what is ordered."""
        self.warnings: list[str] = []
        """For the report."""
        self._path, self._delivery, self._source = path, delivery, source
        self.timing = Timing(fps, source.times if source else None)
        """When frames are shown."""
        self._frames_per_second = max(round(fps), 1)
        self._frames = 0
        self._chapters: list[Chapter] = []
        self._order = order
        name, _ = container_of(path)
        check_container(output, chunk.parameters.codec)
        self._parameters: VideoParameters = chunk.parameters
        self._packet_parameters = PacketParameters.of(chunk.video)
        self._sound_format = chunk.audio_parameters or sound
        # Frames by which decoding runs ahead of showing, with B-frames.
        self._reorder = chunk.video.codec_context.reorder_depth
        has_profile = self.said.facts.color_profile != "none"
        self._places = Places(name, muxer_options(delivery, name, has_color_profile=has_profile))
        self._unread = chunk.unread()
        self._has_dynamic_hdr = False
        self._output: OutputContainer = av.open(
            str(path.absolute()), "w", format=name, container_options=dict(self._places.options)
        )
        with ExitStack() as opened:
            opened.callback(self._output.close)
            self._output.metadata.update(self.said.tags)
            if self.said.created:
                self._output.metadata["creation_time"] = self.said.created
            self._video: VideoStream = add_video(self._output, chunk.video, self.said, fps=fps, tick=self.timing.tick)
            self._tag = tag_for(chunk.video, name)
            self.sound = JoinedSound(
                self._output, video=output, order=order, own=self._sound_format, words=self.said.audio,
                language=delivery.metadata.get(LANGUAGE), timing=self.timing,
            )  # fmt: skip
            """Its sound, if it has any."""
            opened.callback(self.sound.close)
            if source is not None:
                source.begin(self._output, timing=self.timing)
                self._chapters = source.chapters
            self._output.start_encoding()
            opened.pop_all()

    def __enter__(self) -> Join:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.sound.close()
        # After a failure, closing may fail for the same reason, which would hide the first error.
        with suppress(OSError) if kind else nullcontext():
            self._output.close()

    def append(self, part: StitchInput, chunk: ChunkFile) -> None:
        """Append one chunk."""
        self._check_fits(chunk, part)
        extend(self._chapters, chunk.chapters(at=self.timing.seconds(self._frames)))
        decoded = 0
        for packet, index in chunk.packets():
            if index is None:
                self.sound.feed(packet, chunk, frames=self._frames)
                continue
            self._write(packet, frame=self._frames + index, decoded=self._frames + decoded)
            decoded += 1
            self._has_dynamic_hdr |= chunk.has_dynamic_hdr
            if decoded % self._frames_per_second == 0:  # FFmpeg's muxers wait for sound for ten seconds
                self._advance(frames=self._frames + decoded)
        self.sound.end_chunk(part.name, chunk, frames=self._frames)
        self._frames += part.frames

    def append_first_frame(self, chunk: ChunkFile) -> None:
        """Append a chunk's first frame, with as much silence: enough to have everything opened that will be used.

        A file of one frame keeps chapters that a longer one has no place for, so that they are tried apart.
        """
        for packet, index in chunk.packets():
            if index is not None:
                self._write(packet, frame=0, decoded=0)
                self._has_dynamic_hdr = chunk.has_dynamic_hdr
                break
        self._frames = 1
        self.sound.begin()
        if self._source is not None:
            self._source.advance(frames=1)
        self._warn(self.first.name, self._places.lost_chapters(chunk.chapters()))

    def finish(self) -> None:
        """Write what encoders hold, and the container's index."""
        self._advance(frames=self._frames)
        self.warnings += self.sound.finish(frames=self._frames)
        if self._source is not None:
            self.warnings += self._source.warnings
        if self._chapters:
            write_chapters(self._output, self._chapters)
        self._output.close()
        if self._output.format.name in MATROSKA and self.said.facts.sample_aspect_ratio != 1:
            write_aspect(self._path, self.said.facts.sample_aspect_ratio, name=self.said.video.title)

    def _write(self, packet: Packet[Stream], *, frame: int, decoded: int) -> None:
        packet.stream = self._video
        timing = self.timing
        packet.time_base = timing.tick
        packet.pts = timing.stamp(frame)
        packet.dts = timing.stamp(decoded - self._reorder)
        packet.duration = timing.stamp(frame + 1) - packet.pts
        self._output.mux_one(packet)

    def _advance(self, *, frames: int) -> None:
        """Write what comes from files up to where `frames` frames of the video were shown."""
        self.sound.advance(frames=frames)
        if self._source is not None:
            self._source.advance(frames=frames)

    def check_said(self, joined: ChunkFile, *, output: Path) -> None:
        """Make sure that the finished file says what the first chunk and the sound file say, and is what was ordered.

        What its container has no place for, and no player needs for the pictures, becomes a warning.

        Args:
            joined: The file, its first frame read.
            output: The name that it will have.

        Raises:
            RequestError: Its container has no place for something that the pictures need, or something was lost that
                it has a place for.
        """
        check_delivered(self._path, joined.said, self._delivery, output=output)
        found, tag = joined.said, joined.video.codec_tag
        lost = self.said.lost_in(found)
        if self._has_dynamic_hdr and not joined.has_dynamic_hdr:
            lost.append("dynamic HDR metadata beside the pictures (HDR10+)")
        # Matroska has names of its own for most codecs.
        if tag.strip("\0 ") or self._output.format.name not in MATROSKA:
            lost += [f"name {self._tag} of the codec (found: {tag})"] if self._tag not in {None, tag} else []
        if lost:
            other = ".mov" if self._output.format.name in MATROSKA else ".mkv"
            raise RequestError(
                f"{output.name} can't say what {self.first.name} says about its pictures: {', '.join(lost)}; "
                f"write the video into another container (--output NAME{other}), or render the chunks without it"
            )
        sound_from = self._order.file.name if self._order.file else self.first.name
        self._heed(self.first.name, self.said.missing_in(found), joined.chapters(are_cut=False), output=output)
        self._heed(sound_from, self._unheard(joined), self._chapters, output=output)
        if gone := [what for what in self._unread if what not in joined.unread()]:
            self.warnings.append(
                f"{self.first.name} says about its pictures what FFmpeg does not know, and is not carried: "
                f"{', '.join(gone)}"
            )
        if (others := self.said.others) and self._source is None:
            self.warnings.append(f"{self.first.name} has further tracks, which are left out: {', '.join(others)}")

    def _unheard(self, joined: ChunkFile) -> list[Unsaid]:
        return [
            missing.about("sound")
            for mine, its in zip(self.sound.tracks, joined.sounds, strict=True)
            if mine is not None
            for missing in mine.missing_in(Track.of(its))
        ]

    def _heed(self, source: str, missing: list[Unsaid], chapters: list[Chapter], *, output: Path) -> None:
        """Warn of what there is no place for; refuse a video that lost something else."""
        lost = [one.what for one in missing if self._places.has(one)]
        homeless = [one.what for one in missing if one.what not in lost]
        if gone := lost_chapters(self._chapters, chapters):
            unkept = self._places.lost_chapters(self._chapters)
            lost += [what for what in gone if what not in unkept]
            homeless += [what for what in gone if what in unkept]
        if lost:
            raise RequestError(
                f"{output.name} lost what {source} says, and {self._places.container} has a place for: "
                f"{', '.join(lost)}. This is a fault of helios-render: please report it; another kind of file "
                "(--output NAME.mkv) may keep it"
            )
        self._warn(source, homeless)

    def _warn(self, source: str, homeless: list[str]) -> None:
        if homeless:
            self.warnings.append(
                f"{source} has what the {self._path.suffix} file has no place for: {', '.join(homeless)}"
            )

    def _check_fits(self, chunk: ChunkFile, part: StitchInput) -> None:
        if PacketParameters.of(chunk.video) != self._packet_parameters:
            with ChunkFile(part.path, fps=self.fps, frames=part.frames) as whole:
                self._check_parameters(whole, part)
        elif part.artifact is None:
            self._check_parameters(chunk, part)
        own = chunk.audio_parameters
        if self._order.file is None and own is not None and own != self._sound_format:
            raise OutputError(
                f"{part.name} does not fit {self.first.name}: sound {own} instead of {self._sound_format}"
            )

    def _check_parameters(self, chunk: ChunkFile, part: StitchInput) -> None:
        if chunk.parameters != self._parameters:
            difference = chunk.parameters.differences(self._parameters)
            raise OutputError(f"{part.name} does not fit {self.first.name}: {difference}")
