"""`helios-job run`: its video, its output, its exit code."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from helios.models.report import JobReport
from testbed.jobs import make_job, write_job
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, helios_job, here, on_a_terminal

with_server = pytest.mark.usefixtures("prefect_api")


@with_server
def test_a_job_becomes_a_video(tmp_path: Path) -> None:
    """A completed job exits with 0, prints the video's path on standard output, and logs to standard error."""
    write_job(tmp_path, make_job())
    done = helios_job("run", "job.json", "--output", "out/video.mp4", "--concurrency", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "out" / "video.mp4").stat().st_size
    assert done.stdout == f"{tmp_path}/out/video.mp4: 30 frames, 1.000 s, {size} bytes\n"
    assert "Accepted: frames 10 to 19" in done.stderr
    assert read_numbers(tmp_path / "out" / "video.mp4") == list(range(30))


@with_server
def test_how_the_video_is_delivered(tmp_path: Path) -> None:
    """Fragments, brand and metadata are options; a pair without = is refused in one line, and nothing runs."""
    write_job(tmp_path, make_job(outputFile="video.mp4"))
    words = ("--fragments", "0.5", "--brand", "iso6", "--metadata", "title=A = B", "--metadata", "language=deu")
    done = here("run", tmp_path / "job.json", *words)
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "video.mp4")) as video:
        assert (video.metadata["major_brand"], video.metadata["title"]) == ("iso6", "A = B")
        assert video.streams.video[0].metadata["language"] == "deu"
    assert b"moof" in (tmp_path / "video.mp4").read_bytes()
    done = here("run", tmp_path / "job.json", "--metadata", "title")
    assert done.returncode == 2
    assert done.stderr == "helios-job: --metadata 'title': no =; expected KEY=VALUE, such as title='The film'\n"


@with_server
def test_json(tmp_path: Path) -> None:
    """With --json standard output is one JSON document, regardless of standard error."""
    write_job(tmp_path, make_job(outputFile="video.mp4"))
    done = here("run", tmp_path / "job.json", "--json")
    document = json.loads(done.stdout)
    assert {"runId", "state", "output", "frames", "chunks", "durationMs"} <= set(document)
    assert {"id", "state", "attempts", "adapter", "durationMs", "reused"} <= set(document["chunks"][0])
    report = JobReport.model_validate(document)
    assert (report.state, report.frames, report.output) == ("completed", 30, str(tmp_path / "video.mp4"))


@with_server
def test_a_failing_job(tmp_path: Path) -> None:
    """A failed job exits with 1, names chunk, cause and last lines without a traceback, and still prints its report."""
    write_job(tmp_path, make_job(extra=["--misbehave", "exit:7", "--only", "10"]))
    done = here("run", tmp_path / "job.json", "--retries", 1, "--retry-delay", 0.1, "--json")
    assert done.returncode == 1
    assert re.search(r"^helios-job: chunk 1 \(frames 10 to 19\), attempt 2: ", done.stderr, re.M)
    assert "the scene can't be loaded: é" in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["chunks"][1]["state"]) == ("failed", "failed")
    assert document["chunks"][1]["attempts"] == 2


@with_server
def test_standard_input(tmp_path: Path) -> None:
    """SPEC may be -; then the current directory is the job directory."""
    done = here("run", "-", "--no-merge", cwd=tmp_path, stdin=json.dumps(make_job((5,))).encode())
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}: 1 chunks rendered, 5 frames, not joined (--output FILE does)\n"
    assert (tmp_path / "chunk 0.mp4").exists()


@with_server
def test_a_large_document_on_standard_input(tmp_path: Path) -> None:
    """A document of more than 512 KiB goes through a file in the job directory, and its paths mean the same."""
    name = "n" * 200
    document = json.dumps(make_job([1] * 1000, name=f"{name}-{{index}}")).encode()
    assert len(document) > 512 * 1024
    done = here("run", "-", "--chunk", 999, cwd=tmp_path, stdin=document)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}-999.mp4").exists()
    assert "job" in [path.stem for path in (tmp_path / ".helios/documents").rglob("*.json")]


@with_server
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal the command shows a bar, then one line with the video's path, and no log lines."""
    write_job(tmp_path, make_job([3] * 6, outputFile="video.mp4"))
    code, drawn = on_a_terminal("run", "job.json", "--concurrency", 2, cwd=tmp_path)
    assert code == 0, drawn
    assert "%" in drawn
    assert re.search(r"rendering: \d+ of 18 frames, \d of 6 chunks", re.sub(r"\x1b\[[\d;?]*\w", "", drawn))
    assert f"{tmp_path}/video.mp4: 18 frames, 0.600 s" in drawn
    assert "INFO" not in drawn


@contextmanager
def printing_into(path: Path) -> Iterator[None]:
    """Have this process print into a file within the block, as a command does with `> FILE 2>&1`."""
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("w") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        for number, earlier in zip((1, 2), kept, strict=True):
            os.dup2(earlier, number)
            os.close(earlier)


@with_server
@pytest.mark.slow
def test_output_into_the_job_directory(tmp_path: Path) -> None:
    """A file in the job directory into which the command prints is no input, although it changes with every run."""
    write_job(tmp_path, make_job((5, 5), id=f"printed {tmp_path.name}"))
    with (tmp_path / "log").open("w") as printed:
        process = subprocess.run(
            [HELIOS_JOB, "run", "job.json", "--json"], cwd=tmp_path, stdout=printed, stderr=printed, check=False
        )
    text = (tmp_path / "log").read_text()
    assert process.returncode == 0, text
    assert text.count('"reused": false') == 2, text
    for log in ("second.log", "log"):
        with printing_into(tmp_path / log):
            done = here("run", "job.json", "--json", cwd=tmp_path)
            os.write(1, done.stdout.encode())
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"reused": true') == 2, done.stdout


@with_server
# tests/cli/test_hostile_words.py has all of these with commands that start faster.
@pytest.mark.parametrize(
    ("streams", "code"),
    [("2>&-", 0), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((">&-", 0), (">/dev/full", 1)))],
)
def test_streams_that_are_closed_or_full(tmp_path: Path, streams: str, code: int) -> None:
    """A job is rendered without a standard error; a standard output that takes nothing is told in a line."""
    write_job(tmp_path, make_job((5,), outputFile="video.mp4"))
    done = subprocess.run(["sh", "-c", f'"$0" run job.json {streams}', HELIOS_JOB], cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == code, done.stderr
    assert read_numbers(tmp_path / "video.mp4") == list(range(5))
    assert "Traceback" not in done.stderr
    if code:
        assert "helios-job: standard output can't be written (No space left on device)" in done.stderr


def test_a_folder_that_is_not_utf_8(tmp_path: Path) -> None:
    """A job directory that can't be written down as JSON is refused with its name."""
    folder = tmp_path / os.fsdecode(b"r\xff")
    folder.mkdir()
    write_job(folder, make_job((5,)))
    done = helios_job("run", "job.json", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"helios-job: The path '.*r\\udcff.*' is not UTF-8, and can't be recorded.*\n", done.stderr)


REFUSED = {
    "a missing file": (["nowhere.json"], "nowhere.json does not exist"),
    "a directory": (["."], "is a directory"),
    "not json": (["page.html"], "not JSON"),
    "the wrong shape": (["array.json"], "a JSON array; expected an object"),
    "a bad spec": (["gap.json"], "chunks[1].startFrame: 12, a gap; expected 10"),
    "an unknown adapter": (
        ["job.json", "--adapter", "lamda"],
        "Unknown adapter 'lamda'. Known: aws-lambda, cloud-run, cloud-run-job, farm, local.",
    ),
    "a bad configuration": (["job.json", "--adapter-config", '{"grace": 1}'], "grace: an unknown field"),
    "no configuration": (["job.json", "--adapter-config", "@none.json"], "can't be read"),
    "a broken configuration": (["job.json", "--adapter-config", "{"], "not JSON"),
    "a job directory": (["job.json", "--job-dir", "nowhere"], "nowhere is not a directory"),
    "a container": (["job.json", "--output", "v.avi"], "use a name that ends in .mp4"),
    "a contradiction": (["job.json", "--output", "v.mp4", "--no-merge"], "expected one or the other"),
    "an unknown chunk": (["job.json", "--chunk", "9"], "no chunk has the id 9"),
    "an unknown option": (["job.json", "--colour"], "No such option"),
    "no number": (["job.json", "--concurrency", "0"], "--concurrency"),
    "a url": (["http://127.0.0.1:9/job.json"], "cannot be fetched"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input_is_refused_at_once(tmp_path: Path, case: str) -> None:
    """Wrong input exits with 2 and one clear line, and nothing is started."""
    words, said = REFUSED[case]
    run = helios_job if case in ("a missing file", "an unknown option") else here
    gap = make_job()
    gap["chunks"][1]["startFrame"] = 12
    write_job(tmp_path, make_job())
    (tmp_path / "gap.json").write_text(json.dumps(gap))
    (tmp_path / "array.json").write_text("[]")
    (tmp_path / "page.html").write_text("<html></html>")
    before = sorted(tmp_path.iterdir())
    done = run("run", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


@with_server
def test_what_the_flow_refuses_has_the_same_exit_code(tmp_path: Path) -> None:
    """A sound file that can't be read is found when the flow prepares the job: exit code 2, and nothing is rendered."""
    write_job(tmp_path, make_job())
    (tmp_path / "noise.wav").write_text("no sound")
    done = here("run", "job.json", "--output", "v.mp4", "--audio", "noise.wav", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "helios-job: " in done.stderr
    assert "noise.wav can't be read as sound" in done.stderr
    assert list(tmp_path.glob("chunk*")) == []
