"""Running one command: its end is known and none of its processes is left, whatever it does."""

import asyncio
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helios.errors import CommandStalledError, CommandTimeoutError, RequestError
from helios.models import WorkerResult
from helios.processes.command import run_command
from tests.conftest import ProcessesOf

PYTHON = sys.executable
IGNORES_TERM = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
)


def python(script: str, *args: str | Path) -> list[str]:
    return [PYTHON, "-c", script, *map(str, args)]


async def run(argv: list[str], **options: object) -> tuple[WorkerResult, list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []
    result = await run_command(argv, on_output=lambda stream, line: lines.append((stream, line)), **options)  # type: ignore[arg-type]
    return result, lines


async def test_no_shell_reads_the_words() -> None:
    """Quotes, variables, spaces and newlines in arguments arrive as they are."""
    words = ["two words", "it's", "$HOME", "a\nb", "日本", "", "; exit 3"]
    result, _ = await run(python("import sys; print(ascii(sys.argv[1:]))", *words))
    assert result.stdout.strip() == ascii(words)


async def test_a_command_leads_a_session_of_its_own() -> None:
    """A command leads a session of its own, so that Ctrl-C in the terminal does not reach it."""
    result, _ = await run(python("import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))"))
    assert result.stdout.strip() == "True"


async def test_a_signal_is_a_negative_exit_code() -> None:
    """The exit code of a command that a signal ended is the signal's negative number."""
    result, _ = await run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    assert result.exit_code == -11


async def test_both_streams_are_told_apart() -> None:
    """Lines come with their stream, and each stream has its tail."""
    result, lines = await run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert sorted(lines) == [("stderr", "err"), ("stdout", "out")]
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("argv", [["helios-no-such-program"], ["./no-such-program"]])
async def test_a_missing_program(argv: list[str], tmp_path: Path) -> None:
    """A missing program is the request's fault, and the error names it."""
    with pytest.raises(RequestError, match="no-such-program' was not found"):
        await run_command(argv, cwd=tmp_path)


async def test_a_program_that_is_not_executable(tmp_path: Path) -> None:
    """A program that is not executable is refused with what to do."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(RequestError, match="not executable.*chmod"):
        await run_command([str(tmp_path / "tool")])


async def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    """An executable file that the system can't run is a wrong request too."""
    (tmp_path / "tool").write_bytes(b"\x00\x01\x02")
    (tmp_path / "tool").chmod(0o755)
    with pytest.raises(RequestError, match="cannot be run: Exec format error"):
        await run_command([str(tmp_path / "tool")])


async def test_a_missing_working_directory(tmp_path: Path) -> None:
    """For a missing working directory the error names the directory, not the program."""
    with pytest.raises(RequestError, match="working directory .*nowhere is not a directory"):
        await run_command([PYTHON, "-c", ""], cwd=tmp_path / "nowhere")


async def test_words_that_no_system_takes() -> None:
    """A NUL character and words beyond the system's limit are refused."""
    with pytest.raises(RequestError, match="null byte"):
        await run_command([PYTHON, "\0"])
    with pytest.raises(RequestError, match="Argument list too long"):
        await run_command([PYTHON, "x" * 3_000_000])


async def test_a_timeout_ends_a_command_that_ignores_sigterm(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A timeout sends SIGTERM and, after the grace period, SIGKILL; the error has the command's last lines."""
    started = time.monotonic()
    deaf = ["sh", "-c", "trap '' TERM; echo deaf; sleep 600", str(tmp_path)]  # begins within a moment on any machine
    with pytest.raises(CommandTimeoutError, match="longer than its timeout of 3 s") as timeout:
        await run_command(deaf, timeout_seconds=3, grace_seconds=0.3)
    assert time.monotonic() - started >= 3.3
    assert str(timeout.value).endswith("Its last lines:\n  deaf")
    assert processes_of(tmp_path) == []


async def test_what_a_stopped_command_said_last_is_told() -> None:
    """The error has the ends of both streams, without what the shell says of the stop; lines without an end count."""
    script = "echo first >&2; printf 'frame 57'; trap 'echo Killed late >&2; exit' TERM; sleep 600 & wait"
    said: list[tuple[str, str]] = []
    with pytest.raises(CommandTimeoutError) as timeout:
        await run_command(["sh", "-c", script], timeout_seconds=3, on_output=lambda *line: said.append(line))
    assert str(timeout.value).endswith("and was stopped. Its last lines:\n  frame 57\n  first")
    assert ("stdout", "frame 57") in said
    assert said[0] == ("stderr", "first")
    script = "echo Killed >&2; sleep 600"  # this is not about the stop
    with pytest.raises(CommandTimeoutError, match="lines:\n  Killed$"):
        await run_command(["sh", "-c", script], timeout_seconds=3)


async def test_sigterm_is_sent_before_sigkill(tmp_path: Path) -> None:
    """SIGTERM comes before SIGKILL, so that a command can end in order."""
    script = (
        "import signal, sys, time, pathlib\n"
        "def end(*_): pathlib.Path(sys.argv[1]).write_text('ended'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); time.sleep(600)"
    )
    said: list[str] = []
    argv = python(script, tmp_path / "mark")
    task = asyncio.create_task(run_command(argv, grace_seconds=60, on_output=lambda _, line: said.append(line)))
    await until(lambda: said == ["ready"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "mark").read_text() == "ended"


async def test_cancelling_ends_the_whole_tree(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancellation returns when all children have ended, also in other sessions and with SIGTERM ignored."""
    script = (
        "import subprocess, sys, time\n"
        "for own_session in (False, True):\n"
        "    subprocess.Popen([sys.executable, '-c', sys.argv[2], sys.argv[1]], start_new_session=own_session)\n"
        "time.sleep(600)"
    )
    task = asyncio.create_task(run_command(python(script, tmp_path, IGNORES_TERM), grace_seconds=0.2))
    await until(lambda: len(processes_of(tmp_path)) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_of(tmp_path) == []


async def test_cancelling_twice_does_not_cut_the_cleaning_short(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A second cancellation does not cut the first short, which ends all processes."""
    task = asyncio.create_task(run_command(python(IGNORES_TERM, tmp_path), grace_seconds=0.5))
    await until(lambda: processes_of(tmp_path) != [])
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("steps", range(8))
async def test_cancelling_at_any_step_of_the_start(steps: int, tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancellation between any two steps of the event loop during the start ends the command and leaves no process.

    The test blocks the loop until the command has a child that holds its pipes. Then asyncio's own clean-up
    (Python 3.11) would wait for that child for ever.
    """
    script = (
        "import subprocess, sys, pathlib, time\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]\n"
        "subprocess.Popen(sleep, start_new_session=True)\n"
        "pathlib.Path(sys.argv[1], 'ready').touch()\n"
        "time.sleep(600)"
    )
    task = asyncio.create_task(run_command(python(script, tmp_path), grace_seconds=1))
    for _ in range(steps):
        await asyncio.sleep(0)
    for _ in range(100 if processes_of(tmp_path) else 0):
        if not (tmp_path / "ready").exists():
            time.sleep(0.02)  # noqa: ASYNC251  holds the loop up on purpose
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=120)
    assert done == {task}
    assert task.cancelled()
    assert processes_of(tmp_path) == []


async def test_a_daemon_does_not_outlive_its_command(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A grandchild with a session of its own and no open pipe is ended after the command's successful exit."""
    script = (
        "import subprocess, sys\n"
        "quiet = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.DEVNULL)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]],"
        " start_new_session=True, **quiet)\n"
        "print('started')"
    )
    result, lines = await run(python(script, tmp_path))
    assert (result.exit_code, lines) == (0, [("stdout", "started")])
    assert processes_of(tmp_path) == []


async def test_a_pipe_held_by_a_grandchild_does_not_block(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A grandchild that holds the output of an exited command is ended, not waited for."""
    script = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])\n"
        "print('the last line')"
    )
    result, lines = await asyncio.wait_for(run(python(script, tmp_path)), 120)
    assert (result.exit_code, lines) == (0, [("stdout", "the last line")])
    assert processes_of(tmp_path) == []


async def test_a_failing_sink_stops_the_command(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """An error that the sink raises stops the command and reaches the caller."""

    def sink(_stream: str, _line: str) -> None:
        raise ZeroDivisionError("in the sink")

    with pytest.raises(ZeroDivisionError, match="in the sink"):
        await run_command(python(IGNORES_TERM, tmp_path), on_output=sink, grace_seconds=0.2)
    assert processes_of(tmp_path) == []


async def test_200_mb_of_output_do_not_fill_the_memory() -> None:
    """With 200 MB of output memory stays flat, and every byte reaches the sink."""
    script = "import sys\nblock = (b'x' * 999 + b'\\n') * 1000\nfor _ in range(200): sys.stdout.buffer.write(block)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    characters = 0

    def sink(_stream: str, line: str) -> None:
        nonlocal characters
        characters += len(line)

    result = await run_command(python(script), on_output=sink)
    assert result.exit_code == 0
    assert characters == 200 * 999 * 1000
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 50_000
    assert len(result.stdout) <= 16 * 1024


@pytest.mark.slow
async def test_700_mb_without_a_line_end() -> None:
    """With 700 MB in one line memory stays flat, and the sink gets every byte in bounded pieces."""
    script = "import sys\nfor _ in range(700): sys.stdout.buffer.write(b'x' * 1_000_000)"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    characters = longest = 0

    def sink(_stream: str, line: str) -> None:
        nonlocal characters, longest
        characters += len(line)
        longest = max(longest, len(line))

    await run_command(python(script), on_output=sink)
    assert characters == 700_000_000
    assert longest <= 64 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_nothing_is_left_open() -> None:
    """A hundred commands later, a process has as many open files and children as before.

    The test uses a separate process: in its own process Prefect's threads open and close files at any time.
    """
    script = (
        "import asyncio, psutil; from helios.processes.command import run_command\n"
        "async def main():\n"
        "    await run_command(['true'])\n"
        "    this = psutil.Process()\n"
        "    before = (this.num_fds(), this.children())\n"
        "    await asyncio.gather(*(run_command(['true']) for _ in range(100)))\n"
        "    after = (this.num_fds(), this.children())\n"
        "    print(after == before, before, after)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([PYTHON, "-c", script], check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("True "), done.stdout


def test_a_command_started_and_stopped_at_once(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A command that is cancelled within milliseconds of its start leaves no process when the program ends."""
    script = (
        "import asyncio, sys; from helios.processes.command import run_command\n"
        "async def main():\n"
        "    sleep = [sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]\n"
        "    task = asyncio.create_task(run_command(sleep))\n"
        "    await asyncio.sleep(float(sys.argv[2]))\n"
        "    task.cancel()\n"
        "    await asyncio.gather(task, return_exceptions=True)\n"
        "asyncio.run(main())"
    )
    for delay in ("0", "0.0005", "0.002", "0.01"):
        subprocess.run([PYTHON, "-c", script, str(tmp_path), delay], check=True, timeout=300)
    assert processes_of(tmp_path) == []


async def until(condition: object, *, seconds: float = 120) -> None:
    """Wait for a condition, with a deadline."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)


async def test_a_command_that_stalls_is_stopped(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A command that neither prints nor writes to its file for a second is stopped, and the error says so."""
    words = ["sh", "-c", "echo begun; sleep 600", str(tmp_path)]  # begins within a moment on any machine
    with pytest.raises(CommandStalledError, match="printed nothing and out.mp4 did not change for 3 s") as stalled:
        await run_command(words, stall_seconds=3, output_file=tmp_path / "out.mp4")
    assert str(stalled.value).endswith("Its last lines:\n  begun")
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("sign", ["echo on", 'echo on >> "$0"'])
async def test_a_sign_of_life_is_output_or_growth(tmp_path: Path, sign: str) -> None:
    """A command that prints, or whose file grows, may take longer than the time that counts as a stall."""
    words = ["sh", "-c", f"for _ in 1 2 3 4 5; do {sign}; sleep 1; done", str(tmp_path / "out")]
    ended = await run_command(words, stall_seconds=4, output_file=tmp_path / "out")
    assert ended.exit_code == 0
    assert ended.duration_ms >= 5000


async def test_a_script_whose_interpreter_is_missing(tmp_path: Path) -> None:
    """A script with line ends of Windows, or with an interpreter that is not there, is not called missing."""
    for first, says in ((b"#!/bin/sh\r\n", r"interpreter line of './tool' ends in \\r"),
                        (b"#!/no/interpreter\n", "'/no/interpreter' of './tool' was not found"),
                        (b"\xef\xbb\xbf#!/bin/sh\n", "'./tool' begins with a byte order mark"),
                        (b"render\n", "'./tool' has no interpreter line"), (b"", "'./tool' is an empty file"),
                        (b"\x7fELF\2\1\1" + bytes(60), "for another system or processor")):  # fmt: skip
        (tmp_path / "tool").write_bytes(first)
        (tmp_path / "tool").chmod(0o755)
        with pytest.raises(RequestError, match=says):
            await run_command(["./tool"], cwd=tmp_path)
