"""Write frames of a title: `python title.py NAME COLOUR FIRST COUNT OUTPUT`. The name slides in, and stays."""

import sys
from fractions import Fraction

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE, FPS, FRAMES_TO_COME_IN = (640, 360), 25, 25


def picture_of(name: str, colour: str, frame: int) -> Image.Image:
    """The picture of a frame: nothing but the frame's number decides where the name is."""
    picture = Image.new("RGB", SIZE, colour)
    left_to_go = max(0.0, 1 - frame / FRAMES_TO_COME_IN) ** 3
    place = (SIZE[0] / 2 - left_to_go * SIZE[0], SIZE[1] / 2)
    draw = ImageDraw.Draw(picture)
    draw.text(place, name, fill="white", font=ImageFont.load_default(56), anchor="mm")
    draw.rectangle((0, SIZE[1] - 6, SIZE[0] * (frame + 1) / 75, SIZE[1]), fill="white")
    return picture


def main() -> None:
    """Write a chunk's frames as a video."""
    name, colour, first, count, output = sys.argv[1:]
    with av.open(output, "w") as video:
        stream = video.add_stream("h264", FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(int(count)):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture_of(name, colour, int(first) + number)))
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            video.mux(stream.encode(frame))
        video.mux(stream.encode(None))


if __name__ == "__main__":
    main()
