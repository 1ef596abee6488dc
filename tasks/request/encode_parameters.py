"""The parameters of an encode that are none of its job's, each described once: for the form in Prefect's UI.

Imports no Prefect.
"""

from typing import Any

from tasks.request.parameter import Parameter

_ALL = (
    Parameter("source", "Source", "Path of the video to encode, or the name of a sequence such as shot_####.exr."),
    Parameter("output_file", "Video", "The video to write: a path, or an s3:// or gs:// URL.", option="--output"),
    Parameter("codec", "Codec", "The encoder.", option="--codec"),
    Parameter(
        "crf", "Constant quality", "On the encoder's own scale.", empty="the encoder's default", option="--crf"
    ),
    Parameter(
        "preset", "Preset", "The encoder's; of ProRes and DNxHD the profile.", empty="the encoder's default",
        option="--preset",
    ),
    Parameter(
        "pix_fmt", "Pixel format", "FFmpeg's name of it.", empty="the source's, or the nearest", option="--pix-fmt"
    ),
    Parameter("params", "The encoder's own settings", "name=value:name=value.", empty="none", option="--params"),
    Parameter("vf", "Filters", "A chain of FFmpeg's, such as scale=1280:-2,bwdif=0.", empty="none", option="--vf"),
    Parameter(
        "target", "Target quality", "xpsnr=N: chooses each chunk's quantiser so that it has N dB.", empty="none",
        option="--target",
    ),
    Parameter("threads", "Threads of each encoder", "0 for the encoder's own choice.", option="--threads"),
    Parameter(
        "fps", "Constant rate", "Of images; brings a video to it.", empty="frames keep their times", option="--fps"
    ),
    Parameter("cut", "Where chunks begin", "scenes, keyframes, or a number of seconds.", option="--cut"),
    Parameter("shortest", "Seconds of the shortest chunk", "With scenes and keyframes.", empty="2",
              option="--shortest"),
    Parameter("longest", "Seconds of the longest chunk", "With scenes and keyframes.", empty="20", option="--longest"),
    Parameter("sound", "Sound", "How the sound is written.", option="--audio"),
    Parameter(
        "job_dir", "Job folder", "Where the document and the chunks lie.", empty="VIDEO.encode, beside the video",
        option="--job-dir",
    ),
    Parameter(
        "options", "Further options", "Further parameters of render-job, by name, such as {\"concurrency\": 4}.",
        empty="none",
    ),
)  # fmt: skip
ENCODE_PARAMETERS = {parameter.name: parameter for parameter in _ALL}
"""By the flow's parameter."""


def encode_field(name: str) -> dict[str, Any]:
    """Title and description of a parameter, as the form's JSON schema has them."""
    parameter = ENCODE_PARAMETERS[name]
    return {"title": parameter.title, "description": parameter.form_text}
