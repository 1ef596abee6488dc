"""Commands that look as if a shell were to read them are told that none does."""

import shlex

import pytest

from helios.job.shell_signs import describe_shell_signs


@pytest.mark.parametrize(
    ("command", "sign"),
    [
        ("render $HOME/scene out.mp4", "$HOME/scene"),
        ("cd scene && render out.mp4", "&&"),
        ("render out.mp4 | tee log", "|"),
        ("render --out=~/out.mp4", "--out=~/out.mp4"),
        ("render `date` out.mp4", "`date`"),
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
    ],
)
def test_no_signs(command: str) -> None:
    """Where a shell reads the command, or nothing looks like one's, there is nothing to say."""
    assert describe_shell_signs(shlex.split(command)) is None
