"""Ways in which a finished file goes bad on its way: real damage to a real file."""

from pathlib import Path
from random import Random

import av


def flip_bit(path: Path, dice: Random) -> None:
    """Flip one bit at a random place of the video's packets."""
    with av.open(str(path)) as media:
        packets = [(packet.pos, bytes(packet)) for packet in media.demux(media.streams.video[0]) if packet.size]
    number = dice.choices(range(len(packets)), [len(content) for _, content in packets])[0]
    place, content = packets[number]
    data = bytearray(path.read_bytes())
    start = data.index(content, place or 0)  # in Matroska a header comes before the data
    data[start + dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def truncate(path: Path, dice: Random) -> None:
    """Cut the file inside its last frame."""
    with av.open(str(path)) as media:
        packets = [(packet.pos or 0, packet.size) for packet in media.demux(media.streams.video[0]) if packet.size]
    place, size = max(packets)
    with path.open("r+b") as file:
        file.truncate(place + dice.randrange(1, size))
