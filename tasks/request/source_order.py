"""What a job's document asks for of the file that its chunks are encoded from; what the request says of sound wins."""

from pathlib import Path

from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.media.sound_order import SoundCodec, SoundOrder, SoundTracks
from helios.media.source_file import FromSource
from helios.models.spec import JobSpec


def wanted_sound(asked: SoundOrder, spec: JobSpec) -> SoundOrder:
    """The video's sound: as asked for, else all of the source's tracks, else the chunks' own.

    Args:
        asked: What the request says.
        spec: The job document.
    """
    source = spec.source
    if asked.file is not None or source is None or source.sound == "none":
        return asked
    codec = asked.codec or SoundCodec(source.sound)
    return SoundOrder(Path(source.file), tracks=SoundTracks.ALL, codec=codec, start=source.start, may_be_silent=True)


def from_source(spec: JobSpec, directory: JobDirectory) -> FromSource | None:
    """What the video takes from its source, and where that is; None where the document names none.

    Raises:
        RequestError: It is not there.
    """
    if spec.source is None:
        return None
    path = directory.path / spec.source.file
    if not path.is_file():
        raise RequestError(
            f"The source {path} is not a file (source.file of the job document); expected the video that the chunks "
            "are encoded from"
        )
    return FromSource(spec.source, path)
