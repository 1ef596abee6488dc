"""No words of a user bring a traceback, a wait without an end, or anything that a terminal carries out."""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from prefect.exceptions import Abort

from cli.failures import told
from cli.say import say
from helios.system_errors import expected
from testbed.jobs import make_job, write_job
from tests.command import HELIOS_JOB, here, said

DEEP = "[" * 100_000
PLAN = ("plan", "--frames", "9", "--fps", "30", "--chunks", "3", "--command", "x {output}")
PATTERN = ("--output-pattern", "c{index}.mp4")
LONG = "/tmp/" + "a/" * 3000 + "job.json"
WORDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "a pipe": (("validate", "pipe"), "is not a regular file"),
    "a device": (("validate", "/dev/zero"), "is not a regular file"),
    "a space": (("validate", "http://127.0.0.1:1/a b.json"), "a b.json"),
    "a line feed": (("validate", "http://127.0.0.1:1/a\nb.json"), "written as %"),
    "no host": (("validate", "http://[::1/a.json"), "address"),
    "a host without a name": (("validate", "http://a..b/x.json"), "http"),
    "a port": (("validate", "http://127.0.0.1:99999/x.json"), "http"),
    "a long path": (("validate", LONG), "too long"),
    "a long name": (("validate", "a" * 300), "too long"),
    "a link to itself": (("validate", "loop"), "leads back to itself"),
    "below a link to itself": (("validate", "loop/job.json"), "leads back to itself"),
    "a folder that is a link to itself": (("validate", "job.json", "--job-dir", "loop"), "leads back to itself"),
    "a name that is not UTF-8": (("validate", os.fsdecode(b"\xff\xfe")), "does not exist"),
    "a file as a folder": (("validate", "job.json/job.json"), "job.json"),
    "a nested setting": (("run", "job.json", "--adapter-config", DEEP), "at most 32"),
    "nested data": (("run", "job.json", "--webhook", "http://x/", "--webhook-data", DEEP), "at most 32"),
    "a setting without an end": (("run", "job.json", "--adapter-config", "@/dev/zero"), "not JSON"),
    "a huge size": ((*PLAN, *PATTERN, "--size", "9" * 5000 + "x64"), "expected width x height"),
    "a huge file name": ((*PLAN, "--size", "64x64", "--output-pattern", "{index:0999999999999}"), "no form"),
    "a plan into a link to itself": ((*PLAN, *PATTERN, "--size", "64x64", "-o", "loop"), "can't be written"),
    "a cache that is a device": (("cache", "show", "/dev/null"), "is not a folder"),
    "a cache that is a link to itself": (("cache", "show", "loop"), "is not a folder"),
    "an escape sequence": (("validate", "a\x1b]0;theirs\x07\x1b[2Jb.json"), "\\u001b]0;theirs\\u0007\\u001b[2Jb.json"),
    "an unknown command": (("\x1b[31mrun",), "No such command"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sound document, a pipe, and two links that lead to each other."""
    write_job(tmp_path, make_job([5]))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize(("words", "says"), WORDS.values(), ids=WORDS)
def test_words_that_can_t_work(folder: Path, words: tuple[str, ...], says: str) -> None:
    """Each is one line of bounded length, which names what is wrong; nothing is waited for."""
    done = here(*words, cwd=folder)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "fault of this program" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stderr.splitlines())) < 3000


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that was removed, a relative path is refused in a line."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    done = here("validate", "job.json")
    assert (done.returncode, done.stderr) == (
        2, "helios-job: The working directory is gone; change to one that is there\n",
    )  # fmt: skip


SHELL = {
    "{job} validate nowhere 2>&-": 2,
    "{job} validate nowhere 2>/dev/full": 2,
    "{job} validate job.json >&-": 0,
    "{job} validate job.json >/dev/full": 1,
    "{job} --help >/dev/full": 1,
    "{job} validate job.json >&- 2>&- <&-": 0,
    "{job} validate - <&-": 2,
}
FAST = ("{job} validate nowhere 2>&-", "{job} validate job.json >/dev/full", "{job} validate job.json >&- 2>&- <&-")


@pytest.mark.parametrize("line", [pytest.param(one, marks=[] if one in FAST else pytest.mark.slow) for one in SHELL])
def test_streams_that_are_closed_or_full(folder: Path, line: str) -> None:
    """The exit code is that of the command, and nobody sees a traceback."""
    done = subprocess.run(
        ["sh", "-c", line.format(job=HELIOS_JOB)], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (SHELL[line], False)
    assert "Exception ignored" not in done.stderr


def test_a_fault_of_the_program_keeps_its_traceback_in_a_file() -> None:
    """An error that nothing explains is one line, which names a file with the traceback, for its user alone."""

    def fail() -> None:
        raise KeyError("what\nis this")

    with pytest.raises(KeyError) as raised:
        fail()
    line, code = told(raised.value)
    assert code == 1
    assert line.startswith("a fault of this program: KeyError: 'what\\nis this'; please report it")
    (name,) = (Path(word.rstrip(",")) for word in line.split() if word.endswith(".traceback,"))
    assert (name.stat().st_mode & 0o777, "in fail" in name.read_text()) == (0o600, True)
    name.unlink()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (lambda: Path("x" * 5000).stat(), "is longer than the system takes"),
        (lambda: OSError(errno.EACCES, "Permission denied", "/a"), "Permission denied: /a"),
        (lambda: json.loads(DEEP), "nested too deeply"),
        (lambda: "\udcff".encode(), "not UTF-8"),
        (lambda: bytearray(2**62), "too little memory"),
    ],
)
def test_errors_of_the_system(error: Callable[[], object], says: str) -> None:
    """What the system, or the interpreter, refuses becomes an error of ours."""
    try:
        found = error()
    except Exception as exc:  # noqa: BLE001
        found = exc
    assert isinstance(found, BaseException)
    assert says in str(expected(found))
    assert expected(KeyError("x")) is None


def test_the_loser_of_two_resumes() -> None:
    """A run that another process goes on with is told in a line: Prefect's signal for that is no Exception."""
    assert told(Abort("The job 'x' is being rendered")) == ("The job 'x' is being rendered", 1)


def test_what_is_printed_stays_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal carries nothing out of a name; as JSON it is still the same name."""
    say(json.dumps({"name": "a\x1b[31m\x9b\u202e日\t"}, ensure_ascii=False))
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"name": "a\x1b[31m\x9b\u202e日\t"}
    assert not {"\x1b", "\x9b", "\u202e"} & set(printed)
    assert said(*PLAN, *PATTERN, "--size", "64x64").startswith("{")
