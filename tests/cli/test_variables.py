"""Variables with a wrong name or a wrong value are said."""

import pytest

from cli.adapter_option import known_variables, read_adapter
from helios.errors import RequestError
from helios.variables import misspelt
from helios.worker.settings import VARIABLES
from tasks.page.webhook import open_webhook


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


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('{"grace_seconds": "x"}', 'HELIOS_LOCAL_CONFIG: configuration of adapter local: grace_seconds: "x"; expected'),
        ('{"grace": 1}', "an unknown field; expected only fields of this adapter (see docs/adapters.md#local)"),
        ("{x", "HELIOS_LOCAL_CONFIG: not JSON"),
        ("[]", "HELIOS_LOCAL_CONFIG: JSON, but no object"),
        ("@/nowhere.json", "HELIOS_LOCAL_CONFIG @/nowhere.json: can't be read (No such file or directory)"),
    ],
)
def test_wrong_settings_of_an_adapter(monkeypatch: pytest.MonkeyPatch, value: str, says: str) -> None:
    """Settings that can't be are refused with the variable that they come from, when the command begins."""
    monkeypatch.setenv("HELIOS_LOCAL_CONFIG", value)
    with pytest.raises(RequestError) as raised:
        read_adapter("local", None)
    assert says in str(raised.value)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_*not base64*"])
async def test_a_wrong_secret(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """A secret that is no key is refused with its variable, and not shown."""
    monkeypatch.setenv("HELIOS_WEBHOOK_SECRET", secret)
    with pytest.raises(RequestError, match="HELIOS_WEBHOOK_SECRET begins with whsec_, and is not base64") as raised:
        await open_webhook("http://127.0.0.1:1/")
    assert "not base64*" not in str(raised.value)
