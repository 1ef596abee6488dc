"""Records are short, and Prefect's own serializer reads them."""

from pathlib import Path

import pytest
from prefect.results import ResultStore
from prefect.serializers import JSONSerializer, Serializer
from prefect.utilities.dispatch import lookup_type

from helios.models.report import ChunkReport, ChunkResult, JobReport, RunState
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact
from tasks.prefect_api.record_format import RecordFormat

PLAIN = ChunkResult(
    chunk_id=7, artifact=Artifact(url="file:///job/c7.mp4", bytes=5, sha256="0" * 64), frames=1, codec="h264",
    attempt=1, run_id="run", adapter="local", render_ms=3, verify_ms=0,
)  # fmt: skip
FULL = PLAIN.model_copy(
    update={"verified": VerifyLevel.DECODE, "fetch_ms": 9, "rendered_by": "é", "inputs": "1" * 64, "input_list": "2"}
)
CHUNK = ChunkReport(id=7, state=RunState.FAILED, attempts=0, adapter="local", error="why")
REPORT = JobReport(
    run_id="run", job_id=None, state=RunState.FAILED, output=None, job_dir="/job", frames=0, chunks=(CHUNK,),
    duration_ms=1,
)  # fmt: skip


@pytest.mark.parametrize("value", [PLAIN, FULL, REPORT, {"a": [None, "é"]}, None])
def test_prefects_own_serializer_reads_what_is_written(value: object) -> None:
    """What is left out is what a reader takes by default: the value is the same."""
    assert JSONSerializer[object]().loads(RecordFormat().dumps(value)) == value


async def test_a_record_names_prefects_serializer(tmp_path: Path) -> None:
    """A record says that it is JSON, and nothing of settings: any process of Prefect's reads it."""
    from prefect.filesystems import LocalFileSystem

    store = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)), serializer=RecordFormat())
    await store.awrite(FULL, key="ours")
    assert '"serializer":{"type":"json"}' in (tmp_path / "ours").read_text()
    assert lookup_type(Serializer, "json") is JSONSerializer
    other = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)), serializer=JSONSerializer())
    assert (await other.aread("ours")).result == FULL
    await other.awrite(FULL, key="theirs")
    assert (await store.aread("theirs")).result == FULL
