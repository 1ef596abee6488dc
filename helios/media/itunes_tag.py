"""The run-in of AAC as iTunes states it: in a tag of the file, where there is no edit list.

FFmpeg leaves out so many samples, and leaves the time stamps of those that follow as they are: the sound would be heard
late by what was left out.
"""

from av.audio.stream import AudioStream

TAG = "iTunSMPB"


def stated_run_in(stream: AudioStream) -> int:
    """Samples that a file's tag has left out in front of its sound; 0 without such a tag.

    The tag is a row of hexadecimal numbers: a zero, the samples in front, those behind, those between, and zeros.
    """
    numbers = stream.container.metadata.get(TAG, "").split()
    try:
        return int(numbers[1], 16)
    except (IndexError, ValueError):
        return 0
