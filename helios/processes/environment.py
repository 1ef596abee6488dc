"""The environment of a command: what programs need, what is named for it, and no credential unless it is named.

Job documents can come from strangers, and this process's own environment has its credentials. The same rules hold for
commands on this machine and on workers elsewhere. docs/decisions/clean-environment.md says why these variables.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache

DEFAULTS = {"PATH": os.defpath, "LANG": "C.UTF-8"}
"""For a process that has none itself."""
USUAL = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "TERM", "COLORTERM",
    "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "*_NUM_THREADS",
    # The desktop, and fonts
    "DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_*_HOME", "XDG_*_DIRS", "FONTCONFIG_*",
    # GPUs
    "CUDA_*", "NVIDIA_*", "GPU_*", "ROCR_*", "HIP_*", "HSA_*", "ONEAPI_*", "ZE_*", "OCL_ICD_*", "VK_*", "DRI_PRIME",
    "LIBGL_*", "MESA_*", "GALLIUM_*", "LIBVA_*", "VDPAU_*", "__EGL_*", "__GLX_*", "__NV_*",
)  # fmt: skip
"""Names and patterns of the variables that every command gets."""
WITHHELD = (
    # Settings of Prefect, of this program, and of the clouds' SDKs
    "PREFECT_*", "HELIOS_*", "AWS_*", "GOOGLE_*", "GCP_*", "GCLOUD_*", "CLOUDSDK_*", "AZURE_*", "KUBE*", "DOCKER_*",
    # What looks like a credential
    "*TOKEN*", "*SECRET*", "*KEY*", "*PASSW*", "*PASSPHRASE*", "*_PASS", "*_PWD", "*CREDENTIAL*", "*AUTH*", "*COOKIE*",
    "*PRIVATE*", "*SIGNATURE*", "*WEBHOOK*", "*CONNECTION_STRING*", "*DSN", "DBUS_*",
    # Each attempt has a folder of its own for these
    "TMPDIR", "TMP", "TEMP",
)  # fmt: skip
"""No pattern passes these variables, in whatever case they are written; their exact name does."""
PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")
"""A value that no pattern passes: a proxy, a database."""
TEMPORARY = frozenset({"TMPDIR", "TMP", "TEMP"})
"""Variables that say where temporary files go, and nothing about what is in a command's output."""
_WILDCARDS = re.compile(r"[*?\[]")


def clean_environment(
    named: Sequence[str] = (), *, own: Mapping[str, str] | None = None, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Select the variables that a command gets of this process.

    Args:
        named: Names, and glob patterns, of further variables. An exact name passes any variable.
        own: The command's own variables, such as TMPDIR. They override the usual ones; those that are named override
            them.
        inherited: The variables to select from; this process's when None.
    """
    inherited = os.environ if inherited is None else inherited
    return {**DEFAULTS, **dict(_select(inherited, USUAL)), **(own or {}), **dict(_select(inherited, named))}


def named_variables(named: Sequence[str]) -> dict[str, str]:
    """The variables of this process that names and patterns select, as `clean_environment` does."""
    return dict(_select(os.environ, named))


def withheld_variables(variables: Mapping[str, str]) -> list[str]:
    """The names of variables that no pattern passes: what looks like a credential, and programs' own settings."""
    return [name for name, value in variables.items() if _is_withheld(name, value)]


def _select(variables: Mapping[str, str], named: Sequence[str]) -> Iterator[tuple[str, str]]:
    exact = {name for name in named if not _WILDCARDS.search(name)}
    patterns = _any_of(tuple(name for name in named if name not in exact))
    for name, value in variables.items():
        if name in exact or (patterns.match(name) and not _is_withheld(name, value)):
            yield name, value


def _is_withheld(name: str, value: str) -> bool:
    return bool(_any_of(WITHHELD).match(name.upper()) or PASSWORD_IN_URL.search(value))


@lru_cache(maxsize=32)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for many glob patterns, which matches nothing where there is none."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
