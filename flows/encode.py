"""The flow `encode`: look at a source in pieces, write its job's document, and render that job in a run below."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ParameterTypeError
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Crashed, Failed
from pydantic import BeforeValidator, Field

from flows import parameters
from flows.render import render_job
from helios.encode.codecs import CODECS
from helios.errors import RequestError
from helios.job.file_digests import digest_of
from helios.job.kept_document import keep_document
from helios.models.report import JobReport, RunState
from helios.system_errors import expected
from tasks.analyse import analyse
from tasks.prefect_api import log, own_server, record_format
from tasks.prefect_api.api import ENCODE_FLOW_NAME, UNREACHABLE, RunApi
from tasks.prefect_api.client import api_client
from tasks.prefect_api.one_try import FOR_ONE_TRY
from tasks.prefect_api.patience import until_taken
from tasks.request.as_deployed import as_deployed, is_empty
from tasks.request.encode import document_of, open_order
from tasks.request.encode_parameters import encode_field
from tasks.request.encode_request import EncodeRequest
from tasks.request.inline import check_inline
from tasks.request.made_up_name import is_made_up
from tasks.request.request import HAND_OVERS
from tasks.run.batch_session import batch_session, stopped_batch
from tasks.run.control import RunControl
from tasks.run.errors import JOB_CANCELLED, JobCancelledError, JobEndedError, JobFailedError, JobRefusedError
from tasks.run.hand_over import read_hand_overs
from tasks.run.row_runs import RowRuns
from tasks.run.supervision import leave_suspension_to_supervisor
from tasks.run.termination import end_cancellation, is_workers_run, on_worker_death, sigterm_cancels

_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(EncodeRequest)} | {
    "source": "",
    "output_file": "",
    "options": None,
}
"""What stands for a field that nobody filled in."""


def _field(name: str, **bounds: Any) -> Any:
    """A parameter's words and bounds; null and the empty text are its default, as in `flows.parameters`."""
    described = Field(json_schema_extra=encode_field(name), **bounds)
    described.metadata.append(BeforeValidator(lambda value: _DEFAULTS[name] if is_empty(value) else value))
    return described


def _as_text(value: Any) -> Any:
    """A number for a text: programs give quantisers and rates as such."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


_Text = Annotated[Annotated[str, BeforeValidator(_as_text)], Field(title="text")]
_Unset = Annotated[None, Field(title="not set")]
_Seconds = Annotated[float, Field(title="seconds", gt=0)]
_Codec = Literal[tuple(CODECS)]  # type: ignore[valid-type]  # its names are computed


def _run_name() -> str:
    """The name that a person gave the run, else one with the source's name."""
    if not is_made_up(given := str(flow_run.name)):
        return given
    return f"{PurePath(str(flow_run.parameters.get('source') or 'video')).stem}-encode-{str(flow_run.id)[-6:]}"


@flow(
    name=ENCODE_FLOW_NAME,
    flow_run_name=_run_name,
    description="Encode a video in chunks: look at it, cut it at its scenes, encode the chunks, and join them.",
    persist_result=True,
    result_serializer=record_format.RecordFormat(),
)
async def encode(
    source: Annotated[str, _field("source")],
    output_file: Annotated[str, _field("output_file")],
    codec: Annotated[_Codec, _field("codec")] = "svt-av1",  # type: ignore[valid-type]
    crf: Annotated[_Text | _Unset, _field("crf")] = None,
    preset: Annotated[_Text | _Unset, _field("preset")] = None,
    pix_fmt: Annotated[_Text | _Unset, _field("pix_fmt")] = None,
    params: Annotated[_Text | _Unset, _field("params")] = None,
    vf: Annotated[_Text | _Unset, _field("vf")] = None,
    target: Annotated[_Text | _Unset, _field("target")] = None,
    threads: Annotated[int, _field("threads", ge=0, le=256)] = 0,
    fps: Annotated[_Text | _Unset, _field("fps")] = None,
    cut: Annotated[_Text, _field("cut")] = "scenes",
    shortest: Annotated[_Seconds | _Unset, _field("shortest")] = None,
    longest: Annotated[_Seconds | _Unset, _field("longest")] = None,
    sound: Annotated[Literal["copy", "aac", "opus", "flac", "none"], _field("sound")] = "copy",
    adapter: parameters.Adapter = "local",
    verify: parameters.Verify = None,
    job_dir: Annotated[_Text | _Unset, _field("job_dir")] = None,
    hand_overs: parameters.HandOvers = HAND_OVERS,
    options: Annotated[dict[str, Any] | _Unset, _field("options")] = None,
) -> JobReport | State[JobEndedError]:
    """Encode a video. `tasks.request.encode_parameters` describes each parameter."""
    values = dict(locals())  # the parameters, while there are no other local names
    log.quiet_expected_errors()
    leave_suspension_to_supervisor()
    logger = get_run_logger()
    try:
        with sigterm_cancels() as cancel:
            async with api_client(**FOR_ONE_TRY) as client:
                api, control = RunApi(client, logger), RunControl(cancel)
                own_run = await client.read_flow_run(UUID(str(flow_run.id)))
                if is_workers_run(own_run.id):
                    await check_inline(client, own_run)
                values = await _filled_in(values, own_run, api)
                handed = await read_hand_overs(client, own_run, values["hand_overs"])
                if handed.interrupted is StateType.CANCELLING:
                    raise asyncio.CancelledError
                session = batch_session(
                    api, control, run_id=str(own_run.id), run_name=own_run.name, kind="encode",
                    may_be_handed_over=handed.are_left,
                )  # fmt: skip
                with on_worker_death(lambda: control.stop("The Prefect worker of this run died", RunState.CRASHED)):
                    async with session:
                        outcome = await _stoppable(values, own_run, control, api)
    except asyncio.CancelledError:
        end_cancellation()
        outcome = Cancelled(message=JOB_CANCELLED, data=JobCancelledError(JOB_CANCELLED))
    except Exception as exc:
        if (found := expected(exc)) is None:
            raise
        logger.error("%s", found)
        kind = JobRefusedError if isinstance(found, RequestError) else JobFailedError
        outcome = Failed(message=str(found), data=kind(str(found)))
    own_server.leave_if_gone()
    return cast(JobReport | State[JobEndedError], outcome)


async def _stoppable(values: Mapping[str, Any], own_run: FlowRun, control: RunControl, api: RunApi) -> State[Any]:
    """Encode; a run that is stopped says why."""
    try:
        async with control.underway():  # a pause does not end this process: the job's run below it waits in it
            outcome = await _encode(values, own_run, control, api)
        return stopped_batch(control, JobCancelledError) if control.is_passed_on else outcome
    except asyncio.CancelledError:
        end_cancellation()
        return stopped_batch(control, JobCancelledError)


async def _filled_in(values: dict[str, Any], run: FlowRun, api: RunApi) -> dict[str, Any]:
    """Take what the request has empty from the deployment.

    Raises:
        RequestError: What the deployment says is no value of its parameter.
    """
    found = await as_deployed(api.client, run, is_joined=True)
    if not found:
        return values
    try:
        checked = encode.validate_parameters({**values, **found})
    except ParameterTypeError as exc:
        raise RequestError(f"The deployment's parameters are not sound: {exc}; correct them there") from exc
    with suppress(*UNREACHABLE):
        await api.client.update_flow_run(run.id, parameters={**run.parameters, **found})
    return {**values, **{name: checked[name] for name in found}}


async def _encode(values: Mapping[str, Any], own_run: FlowRun, control: RunControl, api: RunApi) -> State[Any]:
    """Look, write the document, and render its job; the state is that of the job's run."""
    request = EncodeRequest.of(values)
    order = request.order()
    job = request.job(
        Path(), job_dir=order.job_dir, options={**(values["options"] or {}), "adapter": values["adapter"]}
    )
    checked = _checked({field.name: getattr(job, field.name) for field in fields(job)})
    opened = await asyncio.to_thread(open_order, order, tell=api.log.info)
    digest = await asyncio.to_thread(digest_of, order.job_dir, opened.name)
    analysis = await analyse(
        opened.path, digest=digest, with_scenes=order.cutting.needs_scenes, control=control, log=api.log
    )
    document = await asyncio.to_thread(document_of, opened, analysis, tell=api.log.info)
    place = await asyncio.to_thread(keep_document, document, order.job_dir)
    state = await _render(own_run, {**checked, "job": str(place)}, control, api)
    return await _outcome(state)


def _checked(wanted: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the job's run, before anything is looked at.

    Raises:
        RequestError: One is no value of its parameter.
    """
    try:
        return render_job.validate_parameters(wanted)
    except ParameterTypeError as exc:
        raise RequestError(f"render-job does not take these options: {exc}") from exc


async def _render(own_run: FlowRun, wanted: dict[str, Any], control: RunControl, api: RunApi) -> State[Any]:
    """Carry the job's run out; one of an earlier process of this run goes on."""
    runs = RowRuns(render_job, own_run.id, batch_name=str(flow_run.name), api=api)
    pausing = asyncio.create_task(runs.pause_with_batch(control.gate))
    try:
        run = await until_taken(lambda: runs.open(None, wanted), what="the job", log=api.log)
        return await until_taken(lambda: runs.carry_out(run, wanted), what="the job", log=api.log)
    finally:
        pausing.cancel()


async def _outcome(state: State[Any]) -> State[Any]:
    """The state of the job's run, with its report, as this run's."""
    result, message = await state.aresult(raise_on_failure=False), state.message or ""
    if state.is_completed():
        return Completed(message=message, data=result)
    error = result if isinstance(result, JobEndedError) else JobFailedError(message)
    kind = Cancelled if state.is_cancelled() else Crashed if state.is_crashed() else Failed
    return kind(message=message, data=error)
