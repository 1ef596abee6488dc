"""The renderer of the orrery's chunks: what the job's commands run.

python -m examples.orrery frames START COUNT OUTPUT    H.264 video of frames [START, START + COUNT)
python -m examples.orrery music OUTPUT                 the whole sound track as WAV
python -m examples.orrery check VIDEO                  read a finished video's frame numbers and sound back
"""

import sys
import wave
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from examples.orrery import FPS, FRAMES, HEIGHT, WIDTH, frame_code, music, scene


def render_frames(start: int, count: int, output: str) -> None:
    """Draw a range of frames into a video file."""
    with av.open(output, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "16", "preset": "medium"})
        assert isinstance(stream, VideoStream)  # noqa: S101  narrows the type
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # One thread for each chunk, since the chunks run side by side.
        stream.codec_context.thread_count = 1
        for number in range(start, start + count):
            frame = VideoFrame.from_ndarray(scene.draw(number), format="rgb24")
            container.mux(stream.encode(frame))
            print(f"frame {number}", flush=True)
        container.mux(stream.encode(None))


def render_music(output: str) -> None:
    """Write the sound track."""
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    with wave.open(output, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(music.RATE)
        file.writeframes(music.compose().tobytes())


def check(video: str) -> None:
    """Read every frame's number from its pixels, and look for silence in the sound."""
    with av.open(video) as container:
        numbers = [frame_code.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
        container.seek(0)
        if not container.streams.audio:
            sys.exit(f"{video} has no sound; expected music (helios-job run … --audio FILE)")
        pieces = [np.abs(frame.to_ndarray()).max(axis=0) for frame in container.decode(audio=0)]
    right = numbers == list(range(FRAMES))
    print(f"{video}: {len(numbers)} frames, numbered {numbers[0]} to {numbers[-1]}, {'in order' if right else 'WRONG'}")
    level = np.concatenate(pieces)[: round(music.SECONDS * music.RATE)]
    # The chord never rests between its fades: 10 ms below one thousandth of full scale would be a gap.
    window = music.RATE // 100
    body = level[music.RATE // 10 : -music.RATE // 2]
    loudest = body[: len(body) // window * window].reshape(-1, window).max(axis=1)
    gaps = int((loudest < 0.001).sum())
    print(f"sound: {len(level) / music.RATE:.3f} s, {gaps} gaps")
    if not right or gaps or len(level) != round(music.SECONDS * music.RATE):
        sys.exit("the video is not exact")


def main() -> None:
    """Run the subcommand."""
    match sys.argv[1:]:
        case ["frames", start, count, output]:
            render_frames(int(start), int(count), output)
        case ["music", output]:
            render_music(output)
        case ["check", video]:
            check(video)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
