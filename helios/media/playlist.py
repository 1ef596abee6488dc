"""HLS playlists as text (RFC 8216): of a video that grows, to whose playlist lines are appended, and of a whole one."""

import math
import re
from collections.abc import Iterable
from fractions import Fraction

EVENT, WHOLE = "#EXT-X-PLAYLIST-TYPE:EVENT\n", "#EXT-X-PLAYLIST-TYPE:VOD\n"
END = "#EXT-X-ENDLIST\n"
"""The last line of a playlist to which nothing is added."""
_LENGTH = re.compile(r"^#EXTINF:([0-9.]+),", re.MULTILINE)


def begin(*, header: str, longest: Fraction) -> str:
    """The lines before the first segment of a video that grows.

    Args:
        header: Address of the initialization segment.
        longest: Seconds of the longest segment that there may be.
    """
    # 7 is the first version with initialization segments for pictures that are not I-frames alone.
    return (
        f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{max(1, math.ceil(longest))}\n"
        f'{EVENT}#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI="{header}"\n'
    )


def entry(*, segment: str, seconds: Fraction) -> str:
    """The lines of one segment, by its address."""
    return f"#EXTINF:{float(seconds):.6f},\n{segment}\n"


def ended(text: str) -> str:
    """The playlist of a video to which nothing is added any more."""
    return text.replace(EVENT, WHOLE, 1) + ("" if has_ended(text) else END)


def has_ended(text: str) -> bool:
    """Whether nothing is added."""
    return text.endswith(END)


def lengths(text: str) -> Iterable[float]:
    """Seconds of each segment."""
    return map(float, _LENGTH.findall(text))
