"""The size of a Cloud Run job's workers, as the job states it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from helios.usage import MIB_IN_GIB, WorkerSize

if TYPE_CHECKING:
    from google.cloud import run_v2

_MIB = {"Mi": 1.0, "Gi": float(MIB_IN_GIB), "M": 1e6 / 2**20, "G": 1e9 / 2**20}
"""Units of memory, in MiB."""


def size_of(job: run_v2.Job) -> WorkerSize:
    """CPUs and memory of the job's container, as far as it states them; and its region."""
    containers = job.template.template.containers
    limits = dict(containers[0].resources.limits) if containers else {}
    return WorkerSize(
        vcpus=_cpus(limits.get("cpu", "")), memory_mib=_mebibytes(limits.get("memory", "")),
        region=job.name.split("/")[3],
    )  # fmt: skip


def _cpus(limit: str) -> float | None:
    """CPUs, of `2` or `1000m`; None for other words."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", limit)
    return None if found is None else float(found[1]) / (1000 if found[2] else 1)


def _mebibytes(limit: str) -> int | None:
    """MiB, of `4Gi`, `512Mi` or `2G`; None for other words."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(Mi|Gi|M|G)", limit)
    return None if found is None else round(float(found[1]) * _MIB[found[2]])
