"""`helios-page`: asks an HTML page for its frames, and renders a range of them in Chromium."""

import argparse
import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.video.frame import VideoFrame

from helios.errors import ExpectedError, RequestError, WorkerUnavailableError
from helios.media.image_encoding import VideoOrder, encode_pictures
from helios.media.image_file import decode_image
from helios.models.framerate import parse_frame_rate, write_frame_rate
from helios.models.image_encoding import CODECS, ImageEncoding
from helios.models.image_pattern import ImagePattern, image_pattern
from helios.page.opened import OpenPage, open_page

TRIED = 8
"""Frames that are drawn when a page is asked, so that its errors show before anything is rendered."""
NO_MACHINE = 75
"""Exit code where Chromium did not start, or was ended: sysexits' EX_TEMPFAIL."""
KINDS: dict[str, Literal["png", "jpeg"]] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""Images that Chromium writes."""


def parser() -> argparse.ArgumentParser:
    """The program's options."""
    words = argparse.ArgumentParser(prog="helios-page", description=__doc__)
    words.add_argument("page", help="the HTML file, in the working directory or below it")
    words.add_argument("--browser", help="Chromium's program; looked for on PATH if not given")
    words.add_argument("--query", default="", help="what the page's address has behind its question mark: title=Hello")
    acts = words.add_subparsers(dest="act", required=True)
    acts.add_parser("describe", help="print the page's frames, rate and size")
    render = acts.add_parser("render", help="write frames as a video or as images")
    render.add_argument("start", type=int, help="first frame")
    render.add_argument("count", type=int, help="frames")
    render.add_argument("output", help="video, or a pattern of PNG or JPEG images")
    render.add_argument("--fps", type=parse_frame_rate, required=True, help="frames per second")
    render.add_argument("--size", required=True, type=_size, metavar="WxH", help="pixels of the window")
    render.add_argument("--codec", choices=CODECS, help="of a video; x264 if not given")
    render.add_argument("--crf", help="of a video: constant quality, on its encoder's scale")
    render.add_argument("--preset", help="of a video: its encoder's")
    render.add_argument("--pix-fmt", help="of a video: FFmpeg's name of the pixel format")
    render.add_argument("--clear", action="store_true", help="leave out the white behind the page (PNG)")
    return words


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def describe(words: argparse.Namespace) -> None:
    """Print what the page says, or why it can't be rendered."""
    said: dict[str, object]
    with open_page(words.page, folder=Path.cwd(), browser=words.browser) as page:
        try:
            scene = page.open(words.page, query=words.query)
            page.resize(scene.width, scene.height)
            step = max(1, (scene.frames - 1) // (TRIED - 1))
            for frame in {*range(0, scene.frames, step), scene.frames - 1}:
                page.draw(scene.start_frame + frame, fps=scene.fps)
        except RequestError as exc:
            said = {"problems": [str(exc)]}
        else:
            said = {**scene.model_dump(exclude={"fps"}), "fps": str(write_frame_rate(scene.fps)), "format": "HTML"}
            said |= {"inputs": page.files, "warnings": [_far(host) for host in page.hosts]}
    print(f"helios-scene: {json.dumps(said)}", flush=True)  # noqa: T201


def _far(host: str) -> str:
    return f"it reads from {host}: each worker needs the network, and gets what is there when it renders"


def render(words: argparse.Namespace) -> None:
    """Write frames.

    Raises:
        ExpectedError: It failed, or can't be done here.
    """
    pattern = image_pattern(words.output)
    if pattern is not None and pattern.extension.lower() not in KINDS:
        raise RequestError(f"{words.output}: Chromium writes {', '.join(KINDS)}; name images of these, or a video")
    encoding = ImageEncoding(codec=words.codec, crf=words.crf, preset=words.preset, pix_fmt=words.pix_fmt)
    order = VideoOrder(encoding=encoding, fps=words.fps, kind=Path(words.output).suffix.lower())
    width, height = words.size
    if pattern is None:
        order.check(width=width, height=height)
    with open_page(words.page, folder=Path.cwd(), browser=words.browser) as page:
        page.resize(width, height)
        page.open(words.page, query=words.query)
        frames = range(words.start, words.start + words.count)
        if pattern is not None:
            _write_images(page, frames, fps=words.fps, pattern=pattern, clear=words.clear)
            return
        pictures = _pictures(page, frames, fps=words.fps)
        encode_pictures(pictures, size=words.size, order=order, output=Path(words.output))


def _write_images(page: OpenPage, frames: range, *, fps: Fraction, pattern: ImagePattern, clear: bool) -> None:
    kind = KINDS[pattern.extension.lower()]
    Path(pattern.folder).mkdir(parents=True, exist_ok=True)
    for frame in frames:
        data = page.draw(frame, fps=fps, kind=kind, clear=clear)
        Path(pattern.path(frame)).write_bytes(data)
        print(f"frame {frame}", flush=True)  # noqa: T201


def _pictures(page: OpenPage, frames: range, *, fps: Fraction) -> Iterator[VideoFrame]:
    for frame in frames:
        yield decode_image(page.draw(frame, fps=fps), codec="png", name=f"frame {frame}")
        print(f"frame {frame}", flush=True)  # noqa: T201


def main() -> None:
    """Describe or render; exit with a line that says why where that can't be done."""
    words = parser().parse_args()
    try:
        describe(words) if words.act == "describe" else render(words)
    except WorkerUnavailableError as exc:
        print(f"helios-page: {exc}", file=sys.stderr)  # noqa: T201
        sys.exit(NO_MACHINE)
    except (ExpectedError, OSError) as exc:
        sys.exit(f"helios-page: {words.page}: {exc}")


if __name__ == "__main__":
    main()
