"""`helios-job run`: its video, its output, its exit code, and the server that it starts."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import av
import psutil
import pytest

from helios.models.report import JobReport
from testbed.jobs import make_job, write_job
from testbed.prefect_home import flow_run_states, furnish
from testbed.video import read_numbers
from tests.command import HELIOS_JOB, helios_job, here, on_a_terminal, start_helios_job, until
from tests.conftest import ProcessesOf
from tests.running import is_alive

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


@with_server
def test_output_into_the_job_directory(tmp_path: Path) -> None:
    """A file in the job directory into which the command prints is no input, although it changes with every run."""
    write_job(tmp_path, make_job((5, 5), id=f"printed {tmp_path.name}"))
    for log, reused in (("log", 0), ("second.log", 2), ("log", 2)):
        with (tmp_path / log).open("w") as printed:
            done = subprocess.run(
                [HELIOS_JOB, "run", "job.json", "--json"], cwd=tmp_path, stdout=printed, stderr=printed, check=False
            )
        text = (tmp_path / log).read_text()
        assert done.returncode == 0, text
        assert text.count('"reused": true') == reused, text


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


def test_a_server_that_ends_as_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends as it starts is reported with its exit code and the cause."""
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "prefect.db").write_bytes(b"SQLite format 3\0".ljust(8192, b"\0"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    done = helios_job("run", write_job(tmp_path, make_job([3])))
    assert done.returncode == 1
    assert re.search(r"ended with code \d+ as it started; its log is .*\n.*file is not a database", done.stderr)


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


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stopped_in_the_middle(tmp_path: Path, processes_of: ProcessesOf, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM exit with 130, leave no process, and record Cancelled in the command's own server."""
    job = make_job([5] * 6, extra=["--misbehave", "hang-hard", "--notes", str(tmp_path / "notes")])
    (tmp_path / "notes").mkdir()
    write_job(tmp_path, job)
    home = tmp_path / "prefect"
    furnish(home)
    words = ("run", tmp_path / "job.json", "--concurrency", 2, "--adapter-config", '{"grace_seconds": 0.5}')
    env = {"PREFECT_HOME": str(home), "PREFECT_API_URL": ""}
    process = start_helios_job(*words, env=env)
    until(lambda: len(list((tmp_path / "notes").iterdir())) == 2 or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    assert processes_of(tmp_path)
    # A terminal sends the signal to the whole foreground process group.
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "helios-job: The job was cancelled" in said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []
    flows, tasks = flow_run_states(home)
    assert flows == ["Cancelled"]
    assert tasks == {"chunk-0": "Cancelled", "chunk-1": "Cancelled"}


@pytest.mark.slow  # the test above has a server of its own, and its states
def test_a_server_of_its_own_records_every_state(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """Without a configured server the command starts its own, whose database has every last state at the end."""
    write_job(tmp_path, make_job([2] * 4, outputFile="video.mp4"))
    home = tmp_path / "prefect"
    furnish(home)
    process = start_helios_job("run", tmp_path / "job.json", env={"PREFECT_HOME": str(home), "PREFECT_API_URL": ""})
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "helios-job up, open its link, then http://127.0.0.1:4200/runs/flow-run/" in said
    flows, tasks = flow_run_states(home)
    assert flows == ["Completed"]
    assert tasks == {f"chunk-{index}": "Completed" for index in range(4)} | {"stitch": "Completed"}
    assert processes_of(tmp_path) == []


@pytest.mark.slow
def test_two_commands_with_servers_of_their_own_do_not_share_an_output(tmp_path: Path) -> None:
    """A claim in the folder refuses the second command, although the servers share no runs; the first is exact."""
    (tmp_path / "gate").mkdir()
    waits = ["--misbehave", f"until:{tmp_path / 'gate'}"]
    first = write_job(tmp_path, make_job((5, 5), extra=waits, id="first")).rename(tmp_path / "first.json")
    second = write_job(tmp_path, make_job((5, 5), start=50, id="second")).rename(tmp_path / "second.json")
    for home in ("one", "two"):
        furnish(tmp_path / home)
    env = {"PREFECT_API_URL": "", "PREFECT_HOME": str(tmp_path / "one")}
    process = start_helios_job("run", first, "--output", tmp_path / "first.mp4", env=env)
    until(lambda: list(tmp_path.glob(".helios/claims/*.json")) or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    done = helios_job(
        "run", second, "--output", tmp_path / "second.mp4",
        env={**os.environ, **env, "PREFECT_HOME": str(tmp_path / "two")},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "more of this job's outputs are being written by the job 'first', run first-" in done.stderr
    assert f"process {process.pid} on " in done.stderr
    assert "Traceback" not in done.stderr
    (tmp_path / "gate" / "all").touch()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert read_numbers(tmp_path / "first.mp4") == list(range(10))
    assert not (tmp_path / "second.mp4").exists()


def test_a_server_of_its_own_does_not_outlive_its_command(tmp_path: Path) -> None:
    """The command's own server ends even when the command is killed with SIGKILL."""
    write_job(tmp_path, make_job((5,), extra=["--misbehave", "hang"]))
    home = tmp_path / "prefect"
    furnish(home)
    process = start_helios_job("run", tmp_path / "job.json", env={"PREFECT_HOME": str(home), "PREFECT_API_URL": ""})

    def servers() -> list[psutil.Process]:
        return [child for child in psutil.Process(process.pid).children() if _is_server(child)]

    until(lambda: servers() or process.poll() is not None)
    (server,) = servers()
    process.kill()
    process.communicate()
    until(lambda: not is_alive(server))


def _is_server(process: psutil.Process) -> bool:
    try:
        return "farm.server.embedded" in process.cmdline()
    except psutil.Error:  # the process has ended since it was listed
        return False
