"""What to do about chunks whose headers differ and that are alike otherwise."""

SAME = "render all chunks with the same version and settings of the encoder"
OWN = "that is for a mergeCommand of your own"
ADVICE = {
    "h264": (
        f"A track of the kind avc1 has one SPS and PPS: {SAME}. x264 fits its headers to the pictures and to the rate "
        "control (two passes, crf, qp): stitchable=1 has it write the same ones (ffmpeg: -x264-params stitchable=1). "
        "To join the chunks as they are, each one's SPS and PPS would have to stand in front of its first picture, in "
        f"a track of the kind avc3: {OWN}"
    ),
    "hevc": (
        f"A track of the kind hvc1 has one VPS, SPS and PPS: {SAME}. What it chooses by the number of CPUs, or by the "
        "pictures, must be said aloud (x265: pools, wpp, ref, bframes). To join the chunks as they are, each one's "
        f"VPS, SPS and PPS would have to stand in front of its first picture, in a track of the kind hev1: {OWN}"
    ),
    "av1": (
        f"A track of the kind av01 has one sequence header: {SAME}, and name what it would choose itself, such as the "
        "level. To join the chunks as they are, an MP4 would need a sample entry for each kind of header, which FFmpeg "
        f"does not write (MP4Box -cat does): {OWN}"
    ),
    "ffv1": (
        f"A track has one configuration record: {SAME} (ffmpeg: -level, -coder, -context, -slices, -slicecrc). No "
        "container has room for a second one; FFV1 of version 1 (-level 1) has its header in each key frame"
    ),
    "mpeg4": (
        f"A track of the kind mp4v has one header: {SAME}. To join the chunks as they are, each one's header would "
        f"have to stand in front of its first picture (ffmpeg: -bsf:v dump_extra): {OWN}"
    ),
}
"""By FFmpeg's name of the codec. docs/jobs.md has the table, and how an own mergeCommand does it."""


def advice_for(codec: str) -> str:
    """What to do where the headers of chunks differ."""
    return ADVICE.get(codec, f"A track has one set of headers: {SAME}")
