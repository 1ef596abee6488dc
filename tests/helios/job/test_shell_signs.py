"""Commands that look as if a shell were to read them are told that none does."""

import shlex
from pathlib import Path

import pytest

from helios.job.shell_signs import describe_shell_signs, describe_signs


@pytest.mark.parametrize(
    ("command", "sign"),
    [
        ("render $HOME/scene out.mp4", "$HOME/scene"),
        ("cd scene && render out.mp4", "&&"),
        ("render out.mp4 | tee log", "|"),
        ("render --out=~/out.mp4", "--out=~/out.mp4"),
        ("render `date` out.mp4", "`date`"),
        ("render ~ out.mp4", "~"),
        ("render out.mp4 2>/dev/null", "2>/dev/null"),
        ("SCENE=night render out.mp4", "SCENE=night"),
    ],
)
def test_signs_of_a_shell(command: str, sign: str) -> None:
    """The message names the words, and how to have a shell."""
    said = describe_shell_signs(shlex.split(command))
    assert said is not None
    assert f"{sign} is handed over" in said
    assert "sh -c" in said


@pytest.mark.parametrize(
    "command",
    [
        "render out.mp4",
        "sh -c 'cd x && render $HOME'",
        "/usr/bin/env bash -c 'a | b'",
        "ffmpeg -vf 'scale=64:-1,fps=30'",
        "render --if frames>=3 --a=b",
    ],
)
def test_no_signs(command: str) -> None:
    """Where a shell reads the command, or nothing looks like one's, there is nothing to say."""
    assert describe_shell_signs(shlex.split(command)) is None


def test_wildcards_are_signs_where_they_name_files(tmp_path: Path) -> None:
    """`*.png` is a sign of a shell where there are such files, and no file of that name."""
    (tmp_path / "a1.png").touch()
    (tmp_path / "b[1].png").touch()
    (said,) = describe_signs(["montage", "*.png", "out.mp4"], tmp_path)
    assert "*.png is handed over as it stands" in said
    for word in ("*.jpg", "b[1].png", "scale=a?b:c"):
        assert describe_signs(["montage", word], tmp_path) == []


SCRIPT = b"set -e\nrender out.mp4\n"


@pytest.mark.parametrize(
    ("text", "command", "said"),
    [
        (SCRIPT.replace(b"\n", b"\r\n"), "sh sub/it.sh", r"The lines of sub/it.sh end in \r\n"),
        (SCRIPT.replace(b"\n", b"\r\n"), "bash -eu sub/it.sh out.mp4", "dos2unix sub/it.sh"),
        (b"#!/usr/bin/env bash\r\n", "sub/it.sh", "write the file with line ends of Unix"),
        (b"#!/usr/bin/env -S python3 -u\r\n", "sub/it.sh", "write the file with line ends of Unix"),
        (b"#!/bin/sh\n" + SCRIPT.replace(b"\n", b"\r\n"), "./sub/it.sh", "write the file with line ends of Unix"),
        (b"\xef\xbb\xbf" + SCRIPT, "sh sub/it.sh", "sub/it.sh begins with a byte order mark"),
        (SCRIPT.decode().encode("utf-16"), "sh sub/it.sh", "sub/it.sh begins with the mark of UTF-16"),
    ],
)
def test_scripts_of_windows(tmp_path: Path, text: bytes, command: str, said: str) -> None:
    """Line ends and marks of Windows are named, wherever the script stands: the shells' own messages hide them."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "it.sh").write_bytes(text)
    (found,) = describe_signs(shlex.split(command), tmp_path)
    assert said in found


def test_scripts_that_are_as_they_should_be(tmp_path: Path) -> None:
    """Nothing is said of a plain script, of a program that takes any line ends, and of what is no file."""
    (tmp_path / "it.sh").write_bytes(b"#!/bin/sh\n" + SCRIPT)
    (tmp_path / "it.py").write_bytes(b"print()\r\n")
    for command in ("./it.sh", "sh it.sh", "sh -c 'render'", "python it.py", "render it.py", "sh missing.sh"):
        assert describe_signs(shlex.split(command), tmp_path) == []
