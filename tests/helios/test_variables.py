"""Variables whose names look like a mistake are said."""

import pytest

from cli.adapter_option import known_variables
from helios.variables import misspelt
from helios.worker.settings import VARIABLES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HELIOS_AWS_LAMDA_CONFIG", "HELIOS_AWS_LAMBDA_CONFIG"),
        ("HELIOS_CLOUDRUN_CONFIG", "HELIOS_CLOUD_RUN_CONFIG"),
        ("HELIOS_WEBHOOK_SECRTE", "HELIOS_WEBHOOK_SECRET"),
        ("helios_webhook_secret", "HELIOS_WEBHOOK_SECRET"),
        ("HELIOSJOB_PREFIXES", "HELIOS_JOB_PREFIXES"),
        ("HELIOS_JOB_PREFIX", "HELIOS_JOB_PREFIXES"),
    ],
)
def test_a_typo(name: str, meant: str) -> None:
    """A variable that nothing reads, and that is much like one that is read, is named with it; its value is not."""
    assert misspelt({name: "a secret"}, known_variables) == [
        f"nothing reads the variable {name}; did you mean {meant}?"
    ]


def test_what_is_no_typo() -> None:
    """Known variables, those of other programs with this prefix, and those of running commands are not named."""
    others = ("HELIOS_LICENSE", "HELIOS_HOME", "HELIOS_WORKSPACE", "HELIOS_PROCESS_TREE", "HELIOS_FAULTS", "PATH")
    assert misspelt(dict.fromkeys([*known_variables(), *others], "x"), known_variables) == []
    assert "HELIOS_WORKER_NAME" in VARIABLES
    assert "HELIOS_NAME" not in VARIABLES
