"""Read frames, rate and size from an existing video."""

from pathlib import Path

from helios.errors import RequestError
from helios.renderers.scene import Scene

QUARTER_TURNS = frozenset({"90°", "270°"})


def scene_of_source(path: Path) -> Scene:
    """Read a video from its beginning to its end, and say which frames it has.

    Raises:
        RequestError: It is no video, or it is damaged.
    """
    from helios.encode.analysis import analyse  # FFmpeg's libraries: not where none is read
    from helios.encode.pictures import open_source
    from helios.media.parameters import VideoParameters

    if not path.is_file():
        raise RequestError(f"{path} is not a file; expected a video")
    found = analyse(path, with_scenes=False)
    warnings: tuple[str, ...] = ()
    if found.rate is None:
        mean = float(found.nominal)
        warnings = (
            f"{path.name} has {found.frames} frames at no constant rate, {mean:.3f} a second on average; say at which "
            "they are shown (--fps), or encode the file by helios-job encode, which keeps their times",
        )
    container, stream = open_source(path)
    with container:
        width, height = stream.width, stream.height
        if VideoParameters.of(stream).facts.rotation in QUARTER_TURNS:  # programs turn pictures while they decode
            width, height = height, width
        codec = stream.codec_context.name
    return Scene(frames=found.frames, fps=found.rate, width=width, height=height, format=codec, warnings=warnings)
