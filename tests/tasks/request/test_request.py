"""A request is checked by reading alone; what it names is found and opened later, in the flow."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from helios.errors import HeliosError
from tasks.request.prepare import prepare
from tasks.request.request import RenderRequest
from testbed.jobs import make_job

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown chunk": ({"chunks": [9]}, "no chunk has the id 9; expected one of 0 to 2"),
    "an unknown adapter": ({"adapter": "lamda"}, "Unknown adapter 'lamda'"),
    "an unknown merge adapter": ({"merge_adapter": "lamda"}, "Unknown adapter 'lamda'"),
    "a wrong configuration": ({"adapter": {"type": "local", "grace": 1}}, "grace: an unknown field"),
    "a contradiction": ({"output_file": "v.mp4", "merge": False}, "expected one or the other"),
    "sound for nothing": ({"audio_file": "a.wav"}, "no output file to put it in"),
    "a codec for nothing": ({"audio_codec": "pcm"}, "A codec of the sound (pcm) was given, but no output file"),
    "a codec": (
        {"output_file": "v.mp4", "audio_codec": "mp3"},
        "The sound can't be 'mp3' (--audio-codec); expected copy, aac, opus, flac or pcm",
    ),
    "a codec that the container does not take": (
        {"output_file": "s3://b/v.mp4", "audio_codec": "pcm"},
        "v.mp4 can't have pcm sound (--audio-codec): .mp4 files take aac, opus and flac; pcm goes into .mov and .mkv",
    ),
    "a copy of chunks' sound": (
        {"output_file": "v.mkv", "audio_codec": "copy"},
        "(--audio-codec copy with --audio FILE): the sound of chunks is decoded, and encoded once for the whole video; "
        "expected aac, opus, flac or pcm",
    ),
    "tracks": (
        {"output_file": "v.mkv", "audio_tracks": "2"},
        "The tracks can't be '2' (--audio-tracks); expected first or all",
    ),
    "a container": ({"output_file": "v.avi"}, "use a name that ends in .mp4"),
    "a container in storage": ({"output_file": "s3://b/v.avi"}, "use a name that ends in .mp4"),
    "a placeholder": ({"output_file": "v-{data}.mp4"}, "placeholder {data} that is not known"),
    "a level": (
        {"verify": "x-ray"},
        "The level 'x-ray' is not known (--verify); expected one of container, decode, pictures",
    ),
    "more than all chunks": ({"audit": 1.5}, "The share of chunks to audit is 1.5 (--audit); expected 0 to 1"),
    "no number of chunks": ({"audit": math.nan}, "The share of chunks to audit is nan (--audit); expected 0 to 1"),
    "a negative PSNR": ({"audit_psnr": -1}, "The lowest PSNR of the audit is -1 dB (--audit-psnr); expected 0 or more"),
    "an endless PSNR": ({"audit_psnr": math.inf}, "is inf dB (--audit-psnr); expected 0 or more"),
    "a negative hedge": ({"hedge": -0.1}, "(--hedge) is -0.1; expected 0 to 1"),
    "a hedge of more than all": ({"hedge": 1.5}, "(--hedge) is 1.5; expected 0 to 1"),
    "no number for a hedge": ({"hedge": math.nan}, "(--hedge) is nan; expected 0 to 1"),
    "a negative seed": ({"audit_seed": -1}, "The seed of the audit is -1 (--audit-seed); expected 0 or more"),
    "fragments": ({"fragments": "often"}, "The fragments 'often' can't be used (--fragments); expected keyframe, or"),
    "a brand": ({"brand": "mpeg4"}, "The brand 'mpeg4' can't be used (--brand); expected a brand of four characters"),
    "a language": ({"metadata": {"language": "German"}}, "The metadata can't be used (--metadata); expected three"),
    "settings of no video": ({"brand": "mp42"}, "but no video that they could be put into; name one (--output)"),
    "fragments of Matroska": (
        {"output_file": "v.mkv", "fragments": 2},
        "v.mkv: matroska has no fragments (--fragments)",
    ),
    "metadata that would be dropped": (
        {"output_file": "v.mp4", "metadata": {"scene": "4"}},
        "v.mp4: mp4 has no place for the metadata scene '4' (--metadata)",
    ),
    "a job directory": ({"job_dir": "/nowhere"}, "/nowhere is not a directory"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_refused_by_reading_is(case: str, tmp_path: Path) -> None:
    """A check refuses each wrong request with what was expected, and prepare refuses the same."""
    wrong, said = REFUSED[case]
    settings: dict[str, Any] = {"job_dir": str(tmp_path)} | wrong
    request = RenderRequest(make_job(), **settings)
    for check in (request.check, lambda: prepare(request)):
        with pytest.raises(HeliosError) as caught:
            check()
        assert said in str(caught.value)


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    """A check makes no folder for the video and does not ask storage; prepare makes the folder."""
    (tmp_path / "job.json").write_text(json.dumps(make_job()))
    before = sorted(tmp_path.rglob("*"))
    RenderRequest(str(tmp_path / "job.json"), output_file="new/video.mp4").check()
    RenderRequest(str(tmp_path / "job.json"), output_file="s3://no-such-bucket/video.mp4").check()
    assert sorted(tmp_path.rglob("*")) == before
    prepared = prepare(RenderRequest(str(tmp_path / "job.json"), output_file="new/video.mp4"))
    assert prepared.output == tmp_path / "new" / "video.mp4"
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(
    ("job", "named", "folder"),
    [
        ("films/job.json", "job", "films"),
        (make_job(id="a film"), "a film", "."),
        (make_job(), "job", "."),
    ],
)
def test_name_and_folder(
    job: str | dict[str, Any], named: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and folder are the stem and folder of a document's file, or an object's id and the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "job.json").write_text(json.dumps(make_job()))
    request = RenderRequest(job)
    assert request.job_name(request.check()) == named
    assert request.directory.resolve() == (tmp_path / folder).resolve()
