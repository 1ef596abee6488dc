"""Programs of this package are found by commands, wherever they were installed."""

import sys
from pathlib import Path

from helios.processes.command import run_command
from helios.processes.own_programs import with_own_program


async def test_without_its_folder_on_the_path() -> None:
    """The encoder runs where its folder is not on the command's PATH, and says how it is called."""
    ended = await run_command(["helios-encode-chunk", "--help"], env={"PATH": "/usr/bin:/bin"})
    assert ended.exit_code == 0, ended.stderr
    assert "--first FIRST" in ended.stdout


def test_the_path_comes_first(tmp_path: Path) -> None:
    """A program of its name on PATH is preferred, and no other program is looked for beside the interpreter."""
    program = tmp_path / "helios-encode-chunk"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    words = ["helios-encode-chunk", "a b"]
    assert with_own_program(words, str(tmp_path)) == words
    found = with_own_program(words, "/nowhere")
    assert found == [str(Path(sys.executable).parent / "helios-encode-chunk"), "a b"]
    other = Path(sys.executable).name
    assert with_own_program([other], "/nowhere") == [other]
