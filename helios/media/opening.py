"""Open media files that strangers wrote: by the container that their name says, and never a file beside them.

FFmpeg finds a container by a file's content. A text of 35 bytes is a video to it, made of other files (`ffconcat`, a
playlist of HLS or DASH); a name with `%d` in it is a pattern of pictures. Such a file would be accepted without a
picture of its own in it, and show another one later, or one that the reader may not see.
"""

from collections.abc import Mapping
from pathlib import Path

import av
from av.container import InputContainer

from helios.media.checked_reader import Reader

NAMED = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".m4a", ".m4b", ".3gp", ".qt"), "mov"),
    **dict.fromkeys((".mkv", ".webm", ".mka"), "matroska"),
    **dict.fromkeys((".ts", ".mts", ".m2ts"), "mpegts"),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), "mpeg,mpegvideo"),
    **dict.fromkeys((".ogg", ".oga", ".ogv", ".opus"), "ogg"),
    **dict.fromkeys((".wav", ".w64", ".rf64"), "wav,w64"),
    **dict.fromkeys((".aif", ".aiff"), "aiff"),
    **dict.fromkeys((".jpg", ".jpeg"), "jpeg_pipe"),
    **dict.fromkeys((".tif", ".tiff"), "tiff_pipe"),
    **{f".{name}": name for name in ("avi", "mxf", "gif", "flac", "mp3", "aac", "ac3", "caf", "flv", "nut", "ivf")},
    **{f".{name}": f"{name}_pipe" for name in ("png", "webp", "exr", "dpx", "bmp")},
}
"""By file extension, FFmpeg's names of the demuxers that may read the file."""
WHOLE = ",".join(
    dict.fromkeys([*NAMED.values(), "asf,dv,gxf,lxf,rm,wtv,eac3,dts,au,tta,wv,ape,amr,h264,hevc,mjpeg,obu"])
)
"""Demuxers that read one file: a file with another extension, or none, is read by whichever of them knows it."""


def open_media(path: Path, file: Reader | None = None, *, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open a file to read it. No other file is opened with it, whatever it says.

    Args:
        path: The file.
        file: The file, already open: it is read instead of what has the path now.
        options: For FFmpeg.

    Raises:
        av.FFmpegError: It is not what its name says, or damaged.
        OSError: It can't be read.
    """
    demuxers = NAMED.get(path.suffix.lower(), WHOLE)
    one = None if "," in demuxers else demuxers  # named, it is not looked for by content
    bounds = {"format_whitelist": demuxers, "protocol_whitelist": "file", **(options or {})}
    # An absolute path: FFmpeg takes "a:b.mp4" for a protocol named "a".
    return av.open(file if file is not None else str(path.absolute()), "r", format=one, options=bounds)


def says_otherwise(path: Path) -> str:
    """What is added to the error about a file that could not be opened: how it was read."""
    return f" ({path.suffix} files are read as such alone)" if path.suffix.lower() in NAMED else ""
