"""The flow on real processes, real video and a real Prefect server."""

import asyncio
import os
import re
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from prefect.client.orchestration import get_client

from flows.render import render_job
from helios.models.report import JobReport, RunState
from testbed.jobs import make_job, write_job
from testbed.video import Clip, read_frames, read_numbers, read_sound, tone, write_clip, write_tone
from tests.conftest import ProcessesOf
from tests.running import eventually, leftovers, render, task_runs

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_a_job_becomes_one_exact_video(tmp_path: Path) -> None:
    """The video has every frame once and in order, each chunk has a report, and task runs are named after chunks."""
    state, report = await render(tmp_path, make_job((10, 7, 13), outputFile="video.mp4"))
    assert state.is_completed()
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    assert report.output == str(tmp_path / "video.mp4")
    assert (report.state, report.frames, len(report.chunks)) == (RunState.COMPLETED, 30, 3)
    for chunk, frames in zip(report.chunks, (10, 7, 13), strict=True):
        assert (chunk.state, chunk.attempts, chunk.frames) == (RunState.COMPLETED, 1, frames)
        assert (chunk.adapter, chunk.reused, chunk.error) == ("local", False, None)
        assert chunk.bytes == (tmp_path / f"chunk {chunk.id}.mp4").stat().st_size
        assert chunk.duration_ms is not None
    runs = await task_runs(report, count=4)
    assert set(runs) == {"chunk-0", "chunk-1", "chunk-2", "stitch"}
    assert all(run.state_name == "Completed" for run in runs.values())
    assert leftovers(tmp_path) == []


@pytest.mark.slow  # tests/test_deployment.py and tests/flows/test_helios_jobs.py have such jobs
async def test_a_helios_style_job_with_uneven_chunks_and_a_start_frame(tmp_path: Path) -> None:
    """Seven chunks from frame 60 on, .mov with PCM sound and a rational rate: exact in picture, time and sound."""
    job = make_job(
        (18, 18, 18, 18, 18, 18, 12), start=60, fps="30000/1001", suffix=".mov", extra=["--sound"], outputFile="out.mp4"
    )
    _, report = await render(tmp_path, job)
    frames = read_frames(tmp_path / "out.mp4")
    assert frames == [(60 + index, Fraction(index * 1001, 30000)) for index in range(120)]
    assert report.video is not None
    assert report.video.audio_codec == "aac"
    sound = read_sound(tmp_path / "out.mp4", rate=48000)[: round(120 * 48000 * 1001 / 30000)]
    assert abs(sound - tone(0, len(sound), rate=48000)[0] / 32768)[2000:-4000].max() < 0.07


@pytest.mark.slow  # tests/helios/media/test_compressed_sound.py has it without a flow
async def test_compressed_sound_of_chunks_and_a_codec_for_the_video(tmp_path: Path) -> None:
    """AAC in chunks is joined where it belongs, without a retry, and written as FLAC as the job asks for."""
    job = make_job((20, 17, 23), extra=["--sound", "--audio-codec", "aac"])
    _, report = await render(tmp_path, job, output_file="video.mkv", audio_codec="flac")
    assert report.video is not None
    assert report.video.audio_codec == "flac"
    assert "in its place to the sample, but was encoded without an overlap" in "; ".join(report.video.warnings)
    assert {chunk.attempts for chunk in report.chunks} == {1}
    sound = read_sound(tmp_path / "video.mkv", rate=48000)
    assert len(sound) == 96_000
    # Each chunk's AAC begins and ends at once, in mid-swing.
    assert abs(sound - tone(0, len(sound), rate=48000)[0] / 32768)[2000:-2000].max() < 0.25


async def test_fragments_brand_and_metadata(tmp_path: Path) -> None:
    """How the video is delivered stands in the document, and in parameters, which win."""
    delivery = {"fragments": 60, "brand": "mp42", "metadata": {"title": "Roh", "artist": "Ich"}}
    job = make_job(outputFile="video.mp4", delivery=delivery)
    state, report = await render(tmp_path, job, fragments="keyframe", metadata={"title": "Der Film"})
    assert state.is_completed(), state.message
    data = (tmp_path / "video.mp4").read_bytes()
    assert (data[4:12], data.count(b"moof")) == (b"ftypmp42", 3)
    with av.open(str(tmp_path / "video.mp4")) as video:
        assert (video.metadata["title"], video.metadata["artist"]) == ("Der Film", "Ich")
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    assert report.video is not None
    assert report.video.warnings == ()
    (tmp_path / "video.mp4").unlink()
    refused = await render_job(str(write_job(tmp_path, job)), output_file="video.mkv", return_state=True)
    assert refused.message == "video.mkv: matroska has no fragments (--fragments); use one of .mp4, .m4v, .mov"


async def test_a_sound_file(tmp_path: Path) -> None:
    """The video's sound track can be given as a file."""
    write_tone(tmp_path / "music.wav", seconds=1)
    _, report = await render(tmp_path, make_job(), output_file="video.mp4", audio_file="music.wav")
    assert report.video is not None
    assert report.video.audio_codec == "aac"


async def test_chunks_alone_join_nothing(tmp_path: Path) -> None:
    """Rendering single chunks joins nothing, and leaves the job's output as it is."""
    _, report = await render(tmp_path, make_job(outputFile="video.mp4"), chunks=[2, 0])
    assert [chunk.id for chunk in report.chunks] == [0, 2]
    assert report.output is None
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["chunk 0.mp4", "chunk 2.mp4"]


MERGE = "sh -c 'cat \"$@\" > merged' merge 'chunk 0.mp4' 'chunk 1.mp4' 'chunk 2.mp4'"


async def test_the_merge_command_runs_where_no_stitched_output_is_asked_for(tmp_path: Path) -> None:
    """The merge command runs in the job directory after all chunks, unless a video is stitched or merging is off."""
    _, report = await render(tmp_path, make_job(mergeCommand=MERGE))
    merged = (tmp_path / "merged").read_bytes()
    assert merged == b"".join((tmp_path / f"chunk {index}.mp4").read_bytes() for index in range(3))
    assert set(await task_runs(report, count=4)) >= {"merge"}
    (tmp_path / "merged").unlink()
    await render(tmp_path, make_job(mergeCommand=MERGE), output_file="video.mp4")
    await render(tmp_path, make_job(mergeCommand=MERGE), merge=False)
    assert not (tmp_path / "merged").exists()


async def test_the_merge_command_has_an_adapter_of_its_own(tmp_path: Path) -> None:
    """The chunks' adapter and the merge's are configured apart."""
    job = make_job(mergeCommand="sh -c 'echo $WHERE > where'")
    adapters = {name: {"type": "local", "env": {"WHERE": name}} for name in ("chunks", "merge")}
    await render(tmp_path, job, adapter=adapters["chunks"], merge_adapter=adapters["merge"])
    assert (tmp_path / "where").read_text() == "merge\n"


async def test_a_failing_merge_command_fails_the_job(tmp_path: Path) -> None:
    """A failing merge command fails the job with its last lines, and what wants a shell in it; the chunks stay."""
    state, report = await render(tmp_path, make_job(mergeCommand="python -c 'exit(\"no codec\")' && ls"))
    assert state.is_failed()
    assert "merge command 'python' exited with code 1. Its last lines:\n  no codec" in (state.message or "")
    assert "No shell reads a job's commands: && is handed over as it stands" in (state.message or "")
    assert [chunk.state for chunk in report.chunks] == [RunState.COMPLETED] * 3


BAD_OUTPUTS = {  # the wrong outputs of every kind are in tests/helios/media/test_verify.py, without a flow
    "no-output": "was not written",
    "empty": "is empty",
    "garbage": "can't be read as a video",
    "truncated": "can't be read as a video|truncated",
    "damaged": r"is damaged: frame \d \(of 10, counted from 0\)",
    "short": "has 9 frames; expected exactly 10",
    "long": "has 11 frames; expected exactly 10",
    "size": "is 80×64 pixels; expected 64×64",
    "rate": "25 fps",
    "codec": "does not fit chunk .*codec",
    "parameters": "does not fit chunk .*profile",
}


FAST_BAD = ("damaged", "parameters")


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how in FAST_BAD else pytest.mark.slow) for how in BAD_OUTPUTS]
)
async def test_an_output_that_is_not_what_was_ordered(tmp_path: Path, how: str) -> None:
    """A wrong output fails the job although its command exits 0; the error names chunk and cause; no video is made."""
    job = make_job(outputFile="video.mp4", extra=["--misbehave", how, "--only", "10"])
    state, report = await render(tmp_path, job, concurrency=1)
    assert state.is_failed()
    assert state.message is not None
    assert re.search(BAD_OUTPUTS[how], state.message), state.message
    assert state.message.startswith("chunk 1 (frames 10 to 19), attempt 1: ")
    assert [chunk.state for chunk in report.chunks] == [RunState.COMPLETED, RunState.FAILED, RunState.PENDING]
    assert not (tmp_path / "video.mp4").exists()
    assert not (tmp_path / "chunk 1.mp4").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.slow  # damage and a second attempt have tests of their own here
async def test_a_chunk_that_is_damaged_in_the_middle_is_rendered_again(tmp_path: Path) -> None:
    """An attempt whose file does not decode is not accepted; the next attempt is, and the video is exact."""
    job = make_job(outputFile="video.mp4", extra=["--misbehave", "damaged-times:1", "--only", "10"])
    state, report = await render(tmp_path, job, retries=1)
    assert state.is_completed(), state.message
    assert [chunk.attempts for chunk in report.chunks] == [1, 2, 1]
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


@pytest.mark.slow  # tests/helios/media/test_verify.py has it without a flow
async def test_a_matroska_chunk_that_was_cut_off(tmp_path: Path) -> None:
    """A cut file in a container that can be read up to the cut is refused by its number of frames."""
    job = make_job(suffix=".webm", outputFile="video.mkv", extra=["--misbehave", "truncated-late"])
    state, report = await render(tmp_path, job)
    assert state.is_failed()
    assert re.search(
        r", attempt 1: chunk \d-attempt-\S+\.webm has [1-9] frames; expected exactly 10", state.message or ""
    )
    assert RunState.COMPLETED not in {chunk.state for chunk in report.chunks}
    assert not (tmp_path / "video.mkv").exists()


async def test_an_output_of_an_earlier_run_is_not_taken(tmp_path: Path) -> None:
    """A command that writes nothing does not pass because a good file lies at its output's place."""
    for index in range(3):
        write_clip(tmp_path / f"chunk {index}.mp4", Clip(), start=index * 10, count=10)
    job = make_job(extra=["--misbehave", "no-output"])
    state, _ = await render(tmp_path, job)
    assert "was not written" in (state.message or "")


async def test_an_earlier_output_of_a_command_that_does_not_name_it(tmp_path: Path) -> None:
    """Where the output is not a word of the command, the old file is removed before the attempt."""
    job = make_job((10,))
    write_clip(tmp_path / "chunk 0.mp4", Clip(), start=500, count=10)
    job["chunks"][0]["command"] = "true"
    state, _ = await render(tmp_path, job)
    assert "was not written" in (state.message or "")
    inner = make_job((10,))["chunks"][0]["command"].replace("'", '"')
    job["chunks"][0]["command"] = f"sh -c '{inner}'"
    state, _ = await render(tmp_path, job)
    assert state.is_completed(), state.message
    assert read_numbers(tmp_path / "chunk 0.mp4") == list(range(10))


async def test_a_failed_attempt_leaves_the_accepted_output_alone(tmp_path: Path) -> None:
    """A later run whose command fails does not touch what an earlier run accepted."""
    await render(tmp_path, make_job((10,)))
    good = (tmp_path / "chunk 0.mp4").read_bytes()
    state, _ = await render(tmp_path, make_job((10,), extra=["--misbehave", "garbage"]))
    assert state.is_failed()
    assert (tmp_path / "chunk 0.mp4").read_bytes() == good


async def test_any_name_in_any_folder(tmp_path: Path) -> None:
    """Names may have spaces, quotes, newlines and letters of any script, the job directory's name included."""
    folder = tmp_path / "it's a «job»\nin 日本"
    folder.mkdir()
    name = "a 'b' \"c\"\nd é $HOME * {index}"
    _, report = await render(folder, make_job((5, 5), name=name), output_file="the 'video'.mp4")
    assert read_numbers(folder / "the 'video'.mp4") == list(range(10))
    assert report.output == str(folder / "the 'video'.mp4")


async def test_names_that_differ_in_their_ends_alone(tmp_path: Path) -> None:
    """Chunks do not get each other's files where names are cut off for attempts, or differ in the extension alone."""
    job = make_job((5, 5, 5, 5), name="n" * 244 + "{index}")
    for chunk, output in zip(job["chunks"][2:], ("part.mp4", "part.mov"), strict=True):
        chunk["command"] = chunk["command"].replace(chunk["outputFile"], output)
        chunk["outputFile"] = output
    _, report = await render(tmp_path, job, output_file="video.mp4", concurrency=4)
    assert read_numbers(tmp_path / "video.mp4") == list(range(20))
    assert [chunk.attempts for chunk in report.chunks] == [1] * 4
    assert not leftovers(tmp_path)


async def test_outputs_in_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    """Missing folders of outputs are made."""
    await render(tmp_path, make_job((5, 5), name="a/b/{index}"), output_file="c/video.mp4")
    assert read_numbers(tmp_path / "c" / "video.mp4") == list(range(10))


async def test_a_link_out_of_the_job_directory_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """A link out of the job directory is refused before anything is rendered."""
    (tmp_path / "job").mkdir()
    (tmp_path / "out").symlink_to("/")
    (tmp_path / "job" / "out").symlink_to(tmp_path)
    path = write_job(tmp_path / "job", make_job(name="out/{index}"))
    state = await render_job(str(path), return_state=True)
    assert state.is_failed()
    assert "outside the job directory" in (state.message or "")
    assert not (tmp_path / "job" / ".helios").exists()


async def test_a_failing_command_is_tried_again(tmp_path: Path) -> None:
    """A failing command is tried again; each attempt is counted, and the successful attempt is accepted."""
    job = make_job(extra=["--misbehave", "fail-times:2", "--only", "10"], outputFile="video.mp4")
    _, report = await render(tmp_path, job, retries=2)
    assert [chunk.attempts for chunk in report.chunks] == [1, 3, 1]
    assert report.chunks[1].error is None
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    runs = await task_runs(report, count=4)
    assert runs["chunk-1"].run_count == 3


async def test_retries_have_a_bound(tmp_path: Path) -> None:
    """After its last retry the job fails, with the command's last lines and the file with all of them."""
    job = make_job((10,), extra=["--misbehave", "exit:7"])
    state, report = await render(tmp_path, job, retries=2)
    assert report.chunks[0].attempts == 3
    message = state.message or ""
    assert "chunk 0 (frames 0 to 9), attempt 3: " in message
    assert "exited with code 7. Its last lines:\n  the scene can't be loaded: é" in message
    log = Path(message.split("Its whole output: ")[1])
    assert log.read_text() == "about to fail\nthe scene can't be loaded: é\n"


async def test_a_wrong_request_is_not_tried_again(tmp_path: Path) -> None:
    """A missing program is not tried again."""
    job = make_job((10,))
    job["chunks"][0]["command"] = "helios-no-such-program 'chunk 0.mp4'"
    state, report = await render(tmp_path, job, retries=5)
    assert report.chunks[0].attempts == 1
    assert "The program 'helios-no-such-program' was not found" in (state.message or "")


async def test_one_chunk_that_fails_stops_the_others(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A failed chunk ends the others' processes, nothing new starts, and the others are Cancelled, with the reason."""
    (tmp_path / "notes").mkdir()
    job = make_job([5] * 8, extra=["--misbehave", "hang", "--notes", str(tmp_path / "notes")])
    # The second chunk fails once the three others have begun.
    job["chunks"][1]["command"] = "sh -c 'while [ $(ls notes | wc -l) -lt 3 ]; do sleep 0.1; done; exit 5'"
    state, report = await render(tmp_path, job, concurrency=4)
    assert "chunk 1 (frames 5 to 9), attempt 1: sh exited with code 5" in (state.message or "")
    states = [chunk.state for chunk in report.chunks]
    assert states == [RunState.CANCELLED, RunState.FAILED, RunState.CANCELLED, RunState.CANCELLED, *["pending"] * 4]
    assert len(list((tmp_path / "notes").iterdir())) == 3
    assert processes_of(tmp_path) == []
    assert leftovers(tmp_path) == []
    runs = await task_runs(report, count=4)
    assert {name: run.state_name for name, run in runs.items()} == {
        "chunk-0": "Cancelled", "chunk-1": "Failed", "chunk-2": "Cancelled", "chunk-3": "Cancelled",
    }  # fmt: skip
    assert runs["chunk-0"].state is not None
    assert runs["chunk-0"].state.message == "Stopped because chunk 1 failed"


async def test_a_chunk_that_waits_for_its_retry_is_stopped_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A chunk that waits for its retry ends as Cancelled at once, although its pause lasts an hour."""
    job = make_job((5, 5), extra=["--misbehave", "exit:1", "--only", "0"])
    slow = job["chunks"][1]["command"].replace("'", '"')
    job["chunks"][1]["command"] = f"sh -c 'while [ ! -e go ]; do sleep 0.1; done; {slow}'"
    # The second chunk is H.264, which WebM does not take: that ends the job while the first one waits.
    work = asyncio.create_task(render(tmp_path, job, retries=3, retry_delay_seconds=3600, output_file="video.webm"))

    async def is_waiting() -> bool:
        assert not work.done(), work.result()
        return "Another attempt follows" in caplog.text

    await eventually(is_waiting)
    (tmp_path / "go").touch()
    state, report = await work
    assert state.is_failed()
    assert "webm has no place for h264 video" in (state.message or "")
    runs = await task_runs(report, count=2)
    deadline = time.monotonic() + 60
    while runs["chunk-0"].state_name != "Cancelled":
        assert time.monotonic() < deadline, runs
        await asyncio.sleep(0.2)
        runs = await task_runs(report, count=2)


async def test_a_chunk_that_hangs_is_stopped_at_its_timeout(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A hanging chunk is stopped at its timeout, even if it and its descendants ignore SIGTERM."""
    write_clip(tmp_path / "ready.mp4", Clip(), start=0, count=5)
    job = make_job((5, 5), extra=["--misbehave", "hang-hard", "--only", "5"])
    job["chunks"][0]["command"] = "cp ready.mp4 'chunk 0.mp4'"  # a quick chunk, which must end within the timeout
    state, report = await render(
        tmp_path, job, chunk_timeout_seconds=8, adapter={"type": "local", "grace_seconds": 0.3}
    )
    assert "ran longer than its timeout of 8 s and was stopped. Its last lines:\n  hanging" in (state.message or "")
    assert [chunk.state for chunk in report.chunks] == [RunState.COMPLETED, RunState.FAILED]
    assert processes_of(tmp_path) == []


async def test_a_chunk_that_stalls_is_tried_again(tmp_path: Path) -> None:
    """A stalled chunk is tried again as a failure of its command; the report has both numbers of retries."""
    job = make_job((5,))
    job["chunks"][0]["command"] = "sh -c 'echo hanging; exec sleep 600'"  # begins within a moment on any machine
    state, report = await render(tmp_path, job, stall_timeout_seconds=3, retries=1)
    assert "did not change for 3 s, and was stopped. Its last lines:\n  hanging" in (state.message or "")
    assert (report.chunks[0].attempts, report.chunks[0].command_failures) == (2, 2)
    assert report.chunks[0].environment_failures == 0
    assert (report.retries, report.environment_retries) == (1, 5)


@pytest.mark.slow
async def test_no_more_chunks_at_a_time_than_asked_for(tmp_path: Path) -> None:
    """As many chunks run at a time as asked for, and never more."""
    job = make_job([1] * 12)
    (tmp_path / "running").mkdir()
    for chunk in job["chunks"]:
        mark = f"running/{chunk['id']}"
        # No command ends before three have run at once; then each stays a moment, in which a fourth would be counted.
        count = f"touch {mark}; ls running | wc -l >> most; until grep -q -x 3 most; do sleep 0.1; done; sleep 0.3"
        script = f"{count}; {chunk['command']}; rm {mark}".replace("'", '"')
        chunk["command"] = f"sh -c '{script}'"
    state, _ = await render(tmp_path, job, concurrency=3)
    assert state.is_completed(), state.message
    counts = [int(line) for line in (tmp_path / "most").read_text().split()]
    assert max(counts) == 3


async def test_a_flood_of_output(tmp_path: Path) -> None:
    """Output of any size is written to the log file, and the chunk is accepted."""
    job = make_job((5,), extra=["--misbehave", "flood:2"])
    state, report = await render(tmp_path, job)
    assert state.is_completed(), state.message
    (log,) = (tmp_path / ".helios" / "logs" / report.run_id).iterdir()
    assert log.stat().st_size == 2_000_000


async def test_a_container_that_can_t_take_the_chunks_is_refused_at_the_first(tmp_path: Path) -> None:
    """A container that can't take the chunks' codec is refused at the first chunk, not after the last."""
    state, report = await render(tmp_path, make_job([5] * 6), output_file="video.webm", concurrency=1)
    assert "webm has no place for h264 video; use one of .mp4" in (state.message or "")
    assert [chunk.attempts for chunk in report.chunks] == [1, 0, 0, 0, 0, 0]


def copying(folder: Path, looks: list[Clip], *, suffix: str, output: str) -> dict[str, Any]:
    """A job of ready-made chunks of 5 frames, which its commands copy."""
    job = make_job([5] * len(looks), suffix=suffix, outputFile=output)
    for number, look in enumerate(looks):
        write_clip(folder / f"ready-{number}{suffix}", look, start=5 * number, count=5)
        job["chunks"][number]["command"] = f"cp ready-{number}{suffix} 'chunk {number}{suffix}'"
    return job


@pytest.mark.slow  # tests/helios/media/test_rehearsal.py has it without a flow
async def test_what_only_the_join_would_find_is_refused_at_the_first_chunk(tmp_path: Path) -> None:
    """The output is opened for real once the first chunk is there: nothing else is rendered for nothing."""
    job = copying(tmp_path, [Clip(codec="libvpx-vp9")] * 4, suffix=".mkv", output="video.mov")
    state, report = await render(tmp_path, job, concurrency=1, retries=3)
    assert "video.mov can't be made of these chunks: vp9 video can't be put into it" in (state.message or "")
    assert [chunk.attempts for chunk in report.chunks] == [1, 0, 0, 0]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("silent", [0, pytest.param(1, marks=pytest.mark.slow)])
async def test_a_chunk_without_sound_is_silent(tmp_path: Path, silent: int) -> None:
    """A chunk whose renderer left the sound out fails nothing: it is silent, and the report says so."""
    looks = [Clip(sample_rate=None if number == silent else 48000) for number in range(3)]
    job = copying(tmp_path, looks, suffix=".mov", output="video.mp4")
    state, report = await render(tmp_path, job, concurrency=1)
    assert state.is_completed()
    assert report.video is not None
    assert report.video.warnings == (
        f"chunk {silent}: it has no sound track, which other chunks have; silence was put in",
    )


async def test_what_does_not_fit_twice_in_the_same_way_is_not_tried_again(tmp_path: Path) -> None:
    """Another attempt may find another encoder; when it writes the same, it would go on doing so."""
    job = copying(tmp_path, [Clip(), Clip(codec="mpeg4"), Clip()], suffix=".mov", output="video.mp4")
    state, report = await render(tmp_path, job, concurrency=1, retries=5)
    assert "chunk 1 does not fit chunk 0: codec mpeg4 instead of h264" in (state.message or "")
    assert report.chunks[1].attempts == 2


async def test_progress_is_an_artifact(tmp_path: Path) -> None:
    """The flow run's page shows a progress bar, which ends at the last frame."""
    _, report = await render(tmp_path, make_job())
    async with get_client() as client:
        answer = await client.request(
            "POST", "/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [report.run_id]}}}
        )
    (artifact,) = [found for found in answer.json() if found["type"] == "progress"]
    assert artifact["data"] == 100.0
    assert artifact["description"].startswith("done: 30 of 30 frames, 3 of 3 chunks")


async def test_the_log_says_what_happened(tmp_path: Path) -> None:
    """The run's log in Prefect's API has a line for each event, without a traceback."""
    job = make_job((5, 5), extra=["--misbehave", "fail-times:1", "--only", "5"], outputFile="video.mp4")
    _, report = await render(tmp_path, job, retries=1)
    deadline = time.monotonic() + 60
    lines: list[str] = []
    async with get_client() as client:
        while not any(line.startswith("Done") for line in lines):
            assert time.monotonic() < deadline, lines
            body = {"logs": {"flow_run_id": {"any_": [report.run_id]}}, "sort": "TIMESTAMP_ASC"}
            lines = [entry["message"] for entry in (await client.request("POST", "/logs/filter", json=body)).json()]
            await asyncio.sleep(0.3)
    text = "\n".join(lines)
    assert "10 frames of 64×64 at 30 fps in 2 chunks, 2 at a time on local" in text
    assert text.count("Accepted: frames 0 to 4, ") == 1
    assert "Attempt 2 started: frames 5 to 9" in text
    assert text.count("Accepted: frames 5 to 9, ") == 1
    assert "chunk 1 (frames 5 to 9), attempt 1: " in text
    assert "Another attempt follows" in text
    assert f"Done: 10 frames in 2 chunks in {report.duration_ms / 1000:.1f} s: {tmp_path}/video.mp4" in text
    assert "Traceback" not in text


async def test_prefects_api_can_tell_the_report(tmp_path: Path) -> None:
    """The run's result in Prefect's API is the report."""
    _, report = await render(tmp_path, make_job())
    async with get_client() as client:
        run = await client.read_flow_run(report.run_id)  # type: ignore[arg-type]
    assert run.state is not None
    assert JobReport.model_validate(await run.state.aresult()) == report
    assert run.name.startswith("job-")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"job": "nowhere.json"}, "nowhere.json does not exist"),
        ({"job": {"chunks": []}}, "metadata: missing"),
        ({"adapter": {"type": "local", "grace_seconds": -1}}, "grace_seconds: -1; expected"),
        ({"output_file": "chunk 0.mp4"}, "is also a chunk's output"),
        ({"output_file": "video.mp4", "audio_file": "none.wav"}, "none.wav can't be read as sound"),
        ({"output_file": "video.mov", "audio_codec": "opus"}, "video.mov can't have opus sound (--audio-codec)"),
        ({"output_file": "video.mov", "audio_codec": "copy"}, "Sound can be copied from a sound file alone"),
        ({"output_file": "video.mov", "audio_tracks": "all"}, "name one (--audio FILE)"),
        # The same without a flow is in tests/tasks/request/test_request.py.
        *(
            pytest.param(*wrong, marks=pytest.mark.slow)
            for wrong in (
                (
                    {"adapter": "lamda"},
                    "Unknown adapter 'lamda'. Known: aws-lambda, cloud-run, cloud-run-job, farm, local.",
                ),
                ({"job_dir": "/nowhere"}, "/nowhere is not a directory"),
                ({"output_file": "video.avi"}, "use a name that ends in .mp4"),
                ({"output_file": "video.mp4", "merge": False}, "expected one or the other"),
                ({"audio_file": "none.wav"}, "no output file to put it in"),
                ({"chunks": [7]}, "no chunk has the id 7; expected one of 0 to 2"),
            )
        ),
    ],
)
async def test_wrong_parameters_are_refused_in_words(tmp_path: Path, parameters: dict[str, Any], said: str) -> None:
    """A run with wrong parameters fails at once, with the same message as the command line."""
    job = str(write_job(tmp_path, make_job()))
    state = await render_job(**({"job": job} | parameters), return_state=True)
    assert state.is_failed()
    assert said in (state.message or "")
    assert "Traceback" not in (state.message or "")
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]


async def test_the_environment_of_a_run_is_left_as_it_was(tmp_path: Path) -> None:
    """A run changes neither the working directory nor the environment of its process."""
    before = (os.getcwd(), dict(os.environ))
    await render(tmp_path, make_job((5,)))
    assert (os.getcwd(), dict(os.environ)) == before


async def test_files_that_were_there_before_are_never_removed(tmp_path: Path) -> None:
    """A file with an output's name is moved aside when the output is accepted, and is back where the job fails."""
    (tmp_path / "chunk 0.mp4").write_bytes(b"mine")
    (tmp_path / "video.mp4").write_bytes(b"my film")
    await render(tmp_path, make_job(outputFile="video.mp4"))
    aside = {path.name: path.read_bytes() for path in (tmp_path / ".helios/replaced").rglob("*.mp4")}
    assert aside == {"chunk 0.mp4": b"mine", "video.mp4": b"my film"}
    await render(tmp_path, make_job(outputFile="video.mp4"))
    assert len([*(tmp_path / ".helios/replaced").rglob("*.mp4")]) == 2, "outputs of jobs are replaced"


async def test_a_command_that_does_not_name_its_output_leaves_no_gap(tmp_path: Path) -> None:
    """Where such a command fails, or writes something else, what had the output's name has it again."""
    (tmp_path / "out.mp4").write_bytes(b"mine")
    metadata = {"totalFrames": 2, "fps": 30, "width": 64, "height": 64, "duration": 1}
    for command in ("sh -c 'echo rubbish >out.mp4'", "false"):
        chunk = {"id": 0, "startFrame": 0, "frameCount": 2, "outputFile": "out.mp4", "command": command}
        state, _ = await render(tmp_path, {"metadata": metadata, "chunks": [chunk]}, retries=1, retry_delay_seconds=0)
        assert state.is_failed()
        assert (tmp_path / "out.mp4").read_bytes() == b"mine"


def made_before(folder: Path) -> None:
    """Videos that merge commands copy: the right one of 30 frames, and wrong ones."""
    videos = folder / "made before"
    videos.mkdir()
    write_clip(videos / "right.mp4", Clip(), start=0, count=30)
    write_clip(videos / "short.mp4", Clip(), start=0, count=29)
    write_clip(videos / "fast.mp4", Clip(fps=Fraction(1000)), start=0, count=30)
    (videos / "rubbish.mp4").write_bytes(b"rubbish")


COPY = "cp 'made before/{}.mp4' film.mp4"


@pytest.mark.parametrize(
    "command", [COPY.format("right"), "sh -c 'cp made*/right.mp4 renders.mov; cp made*/short.mp4 preview.mp4'"]
)
async def test_what_a_merge_command_writes_is_found(tmp_path: Path, command: str) -> None:
    """A merged video is found by the command's words or by its name, and verified."""
    made_before(tmp_path)
    _, report = await render(tmp_path, make_job(mergeCommand=command))
    assert report.merged
    assert report.video is not None, report.error
    assert (report.video.frames, report.output) == (30, report.video.path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("short", "has 29 frames; expected 30 frames in 1.000 s"),
        pytest.param(
            "fast", "has 30 frames in 0.0.* s; expected 30 frames in 1.000 s, at 30 fps", marks=pytest.mark.slow
        ),
        pytest.param("rubbish", "can't be read as a video", marks=pytest.mark.slow),
    ],
)
async def test_a_merged_video_that_is_wrong(tmp_path: Path, name: str, says: str) -> None:
    """A merged video that is not what was ordered fails the job."""
    made_before(tmp_path)
    _, report = await render(tmp_path, make_job(mergeCommand=COPY.format(name)))
    assert report.state is RunState.FAILED
    assert re.search(f"film.mp4 {says}", report.error or "")


async def test_a_merge_command_that_writes_no_video(tmp_path: Path) -> None:
    """A merge command need not write a video."""
    _, report = await render(tmp_path, make_job(mergeCommand="true"))
    assert (report.state, report.merged, report.video) == (RunState.COMPLETED, True, None)


async def test_attempts_that_are_alike_end_the_retries(tmp_path: Path) -> None:
    """After two attempts with the same wrong output, no third one is made, and the message says why."""
    job = make_job(extra=["--misbehave", "short", "--only", "20"])
    state, report = await render(tmp_path, job, retries=5, retry_delay_seconds=0)
    assert state.is_failed()
    assert report.chunks[2].attempts == 2
    assert "The last 2 attempts wrote the same" in (state.message or "")
    assert "--last-chunk shorter, or longer" in (state.message or "")


@pytest.mark.parametrize(
    ("how", "allowed", "frames"),
    [("short", "shorter", 29), pytest.param("long", "longer", 31, marks=pytest.mark.slow)],
)
async def test_a_last_chunk_of_another_length(tmp_path: Path, how: str, allowed: str, frames: int) -> None:
    """The last chunk may differ where that is allowed, and the report says so; any other chunk may not."""
    job = make_job(outputFile="video.mp4", id=how, extra=["--misbehave", how, "--only", "20"])
    wrong = {"short": "longer", "long": "shorter"}[how]
    state, _ = await render(tmp_path, job, last_chunk=wrong)
    assert state.is_failed()
    for reused in (False, True):
        _, report = await render(tmp_path, job, last_chunk=allowed)
        assert (report.frames, report.video and report.video.frames) == (frames, frames), report.error
        length = f"the last chunk has {frames - 20} frames instead of 10: the video is 1 frame {allowed}"
        assert report.last_chunk == length
        assert report.chunks[2].reused is reused
    other = make_job(extra=["--misbehave", how, "--only", "10"])
    state, _ = await render(tmp_path, other, last_chunk=allowed)
    assert state.is_failed()
