"""The flow `render-job`: render the chunks, a bounded number at a time, then join them."""

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ParameterTypeError, Pause
from prefect.runtime import flow_run

from flows import parameters
from helios.errors import ExpectedError, HeliosError, RequestError
from helios.garbage import calm_collector
from helios.media.sound_order import SoundTracks
from helios.models.report import JobReport
from helios.processes.own_memory import hide_memory
from helios.system_errors import expected
from tasks.join import merge as merge_task
from tasks.join import stitch as stitch_task
from tasks.page.overdue import overdue_notice
from tasks.page.page import keep_page_updated
from tasks.page.webhook import Webhook, open_webhook, with_turn
from tasks.prefect_api import log, own_server, record_format
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.client import api_client
from tasks.prefect_api.one_try import FOR_ONE_TRY
from tasks.prefect_api.server import check_server
from tasks.prefect_api.states import job_state, stitching, suspended
from tasks.render_all import render_all
from tasks.request.as_deployed import as_deployed
from tasks.request.audit_order import LEAST_PSNR
from tasks.request.complete import complete
from tasks.request.inline import check_inline
from tasks.request.made_up_name import is_made_up
from tasks.request.overwrite import check_overwrite
from tasks.request.request import CACHE_SIZE, ENVIRONMENT_RETRIES, HAND_OVERS, RenderRequest
from tasks.request.sound_file import prepare_job
from tasks.run.audits import heed_audits
from tasks.run.begin_text import describe_begin
from tasks.run.errors import JobEndedError
from tasks.run.hand_over import HandOvers, read_hand_overs
from tasks.run.identity import RetryPolicy
from tasks.run.kept_report import keep_report
from tasks.run.open_sites import opened_later
from tasks.run.outcome import Outcome, cancelled_early, completed, failed, not_begun, stopped, tell_reused
from tasks.run.picture_checks import heed_warnings, refuse_warnings
from tasks.run.progress import Phase
from tasks.run.run import Run
from tasks.run.session import RunSession, run_session
from tasks.run.supervision import leave_suspension_to_supervisor
from tasks.run.termination import WORKERS_RUN, end_cancellation, is_workers_run, sigterm_cancels

if WORKERS_RUN in os.environ:  # a process of this flow alone, whose engine is about to name the run in its log
    hide_memory()
    log.keep_terminals_plain()
    own_server.end_with_server()


def _run_name() -> str:
    """The name that a person gave the run, else one with the job's name."""
    if not is_made_up(given := str(flow_run.name)):
        return given
    job = flow_run.parameters.get("job")
    name = PurePath(job).stem if isinstance(job, str) else (job or {}).get("id")
    return f"{name or 'job'}-{str(flow_run.id)[-6:]}"


@flow(
    name="render-job",
    flow_run_name=_run_name,
    description="Render a video's chunks on workers, verify every output, and join them into one exact video.",
    persist_result=True,
    result_serializer=record_format.RecordFormat(),
)
async def render_job(
    job: parameters.Job,
    adapter: parameters.Adapter = "local",
    concurrency: parameters.Concurrency = None,
    retries: parameters.Retries = 2,
    retry_delay_seconds: parameters.RetryDelay = 1.0,
    environment_retries: parameters.EnvironmentRetries = ENVIRONMENT_RETRIES,
    max_failed_chunks: parameters.FailedChunks = 0,
    chunk_timeout_seconds: parameters.ChunkTimeout = None,
    stall_timeout_seconds: parameters.StallTimeout = None,
    job_dir: parameters.JobFolder = None,
    output_file: parameters.OutputFile = None,
    images_to: parameters.ImagesTo = None,
    merge: parameters.Merge = True,
    merge_adapter: parameters.MergeAdapter = None,
    audio_file: parameters.AudioFile = None,
    audio_tracks: parameters.AudioTracks = SoundTracks.FIRST,
    audio_codec: parameters.AudioCodec = None,
    fragments: parameters.Fragments = None,
    brand: parameters.Brand = None,
    metadata: parameters.Metadata = None,
    chunks: parameters.Chunks = None,
    fresh: parameters.Fresh = False,
    overwrite: parameters.Overwrite = None,
    overdue_seconds: parameters.OverdueSeconds = None,
    webhook: parameters.WebhookUrl = None,
    webhook_secret: parameters.WebhookSecret = None,
    webhook_data: parameters.WebhookData = None,
    verify: parameters.Verify = None,
    strict: parameters.Strict = False,
    audit: parameters.Audit = 0.0,
    audit_psnr: parameters.AuditPsnr = LEAST_PSNR,
    audit_seed: parameters.AuditSeed = None,
    hedge: parameters.Hedge = None,
    budget: parameters.Budget = None,
    budget_stop: parameters.BudgetStop = "finish",
    deadline: parameters.Deadline = None,
    cache: parameters.Cache = None,
    cache_size: parameters.CacheSize = CACHE_SIZE,
    last_chunk: parameters.LastChunkLength = None,
    revision: parameters.RevisionText = None,
    hand_overs: parameters.HandOvers = HAND_OVERS,
    preview: parameters.Preview = True,
) -> JobReport | State[JobEndedError]:
    """Render a job. Chunks that an earlier run of the same job accepted are reused.

    `tasks.request.parameters` describes each parameter.
    """
    request = RenderRequest(**locals())  # the parameters, while there are no other local names
    log.quiet_expected_errors()
    leave_suspension_to_supervisor()
    logger = get_run_logger()
    told: tuple[Webhook, FlowRun] | None = None
    try:
        with sigterm_cancels() as cancel:
            async with api_client(**FOR_ONE_TRY) as client:
                api = RunApi(client, logger)
                await check_server(client, logger)
                own_run = await client.read_flow_run(UUID(str(flow_run.id)))
                if is_workers_run(own_run.id):
                    await check_inline(client, own_run)
                request = await _fill_in(request, own_run, api)
                handed = await read_hand_overs(client, own_run, request.hand_overs)
                await _heed_interruption(handed, own_run, api)
                notify = await open_webhook(request.webhook, secret=request.webhook_secret, data=request.webhook_data)
                if notify is not None:
                    notify = await with_turn(notify, client, own_run)
                    told = (notify, own_run)
                request = await complete(request, client, own_run)
                prepared = await prepare_job(request)
                await check_overwrite(client, own_run, prepared, overwrite=request.overwrite)
                calm_collector()
                # Chunks that are named in the request are rendered anew.
                anew, policy = request.fresh or request.chunks is not None, RetryPolicy.of(request)
                async with (
                    run_session(prepared, api, policy=policy, anew=anew, hand_overs=handed, cancel=cancel) as session,
                    overdue_notice(session.run, request.overdue_seconds, name=own_run.name, webhook=notify, api=api),
                ):
                    outcome = await _carry_out(session, request)
                    await keep_report(outcome, session.run.identity.run_id, logger)
    except asyncio.CancelledError:
        end_cancellation()
        outcome = cancelled_early()
    except Exception as exc:
        if (found := expected(exc)) is None:
            raise
        outcome = not_begun(found, logger)
    if told is not None:
        await _send_end(*told, outcome, logger)
    own_server.leave_if_gone()
    return cast(JobReport | State[JobEndedError], outcome)  # a caller gets the data of a completed run's state


async def _fill_in(request: RenderRequest, run: FlowRun, api: RunApi) -> RenderRequest:
    """Take what the request has empty from the deployment. The run's page then shows it, too.

    Raises:
        RequestError: What the deployment says is no value of its parameter.
    """
    found = await as_deployed(api.client, run, is_joined=request.is_joined)
    if not found:
        return request
    try:
        checked = render_job.validate_parameters({"job": request.job, **found})
    except ParameterTypeError as exc:
        raise RequestError(f"The deployment's parameters are not sound: {exc}; correct them there") from exc
    api.log.info("As the deployment says, since the run has them empty: %s", ", ".join(found))
    with suppress(*UNREACHABLE):
        await api.client.update_flow_run(run.id, parameters={**run.parameters, **found})
    return replace(request, **{name: checked[name] for name in found})


async def _heed_interruption(handed: HandOvers, run: FlowRun, api: RunApi) -> None:
    """Stop a run that was handed over although a person had cancelled or paused it before its process died.

    Raises:
        CancelledError: It had been cancelled.
        Pause: It had been paused, and is suspended: it goes on when it is resumed.
    """
    if handed.interrupted is not None:
        api.log.warning("This run was %s: its worker or its process died", handed)
    if handed.interrupted is StateType.CANCELLING:
        raise asyncio.CancelledError
    if handed.interrupted is StateType.PAUSED:
        state = suspended()
        await api.client.set_flow_run_state(run.id, state, force=True)
        raise Pause(state=state)


async def _carry_out(session: RunSession, request: RenderRequest) -> Outcome:
    """Render and join; return the state that has the report, or that says why there is no video."""
    run, logger, started = session.run, session.api.log, time.monotonic()
    try:
        kept = run.cache.kept(), run.delivery.kept(), run.preview.kept()
        async with session.supervised(), keep_page_updated(run, session.api) as page, kept[0], kept[1], kept[2]:
            if removed := await asyncio.to_thread(run.identity.remove_leftovers, keep_images=not request.fresh):
                logger.info("%d files removed that attempts of a stopped run had left", removed)
            await _open_places(run)
            in_flight = request.concurrency or sum(run.places.bounds.values())
            logger.info("%s", describe_begin(run, in_flight))
            run.progress.enter(Phase.RENDERING)
            await render_all(session, in_flight=in_flight, retry_delay_seconds=request.retry_delay_seconds)
            tell_reused(run.ledger, logger)
            run.holes.refuse(sum(record.result is not None for record in run.ledger.records.values()))
            await run.inputs.look_again()
            run.inputs.tell(run.report_inputs())
            heed_audits(run.ledger.audits, logger, has_id=run.identity.job.spec.id is not None)
            heed_warnings(run.ledger, logger, strict=request.strict)
            if run.identity.job.output is not None:
                page.begin_sheet()
            await _join(session)
            await run.preview.finish()
            run.ledger.delivered = await run.delivery.finish(run.ledger.records.values())
            refuse_warnings(list(run.ledger.video.warnings) if run.ledger.video else [], strict=request.strict)
            run.control.is_done = True
            run.progress.note(phase=Phase.DONE)
            await _clean(run, session.api)
            session.begin_recording()  # while the page is written
    except asyncio.CancelledError:
        end_cancellation()
        return stopped(run, logger, duration_ms=_since(started))
    except Exception as exc:
        if (found := exc if isinstance(exc, ExpectedError) else expected(exc)) is None:
            raise
        return failed(run, found, logger, duration_ms=_since(started))
    finally:
        await run.places.close()
    return completed(run, logger, duration_ms=_since(started))


async def _open_places(run: Run) -> None:
    await run.limits.check()
    identity = run.identity
    later = opened_later(identity.job, is_first=identity.is_first)
    await run.places.open(identity.key, identity.token, known=run.inputs.known_files, left_out=later)


async def _join(session: RunSession) -> None:
    run, job = session.run, session.run.identity.job
    join = stitch_task if job.output is not None else merge_task if job.merge is not None else None
    if join is None:
        await asyncio.to_thread(run.companions.sweep)
        return
    async with run.control.underway():
        if job.output is None:
            await run.cache.settle()  # a merge command may remove the chunks' files
        run.progress.enter(Phase.STITCHING if job.output is not None else Phase.MERGING)
        marked = asyncio.create_task(session.set_state(stitching()))  # beside the join, which does not wait for it
        try:
            ended: State[Any] = await cast(Any, join)(run, return_state=True)
            await marked
        finally:
            marked.cancel()
        run.task_states.end(ended)
        if ended.is_failed():
            raise await ended.aresult(raise_on_failure=False)
        if not ended.is_completed():
            raise asyncio.CancelledError


async def _clean(run: Run, api: RunApi) -> None:
    """Remove what the run left at its site; a video is not lost over objects that can't be removed."""
    await run.cache.settle()  # what it packs lies among the leftovers
    await asyncio.to_thread(run.identity.remove_leftovers, keep_images=not run.identity.is_whole)
    try:
        if removed := await run.places.clean(run.identity.key):
            api.log.debug("%d objects of the run removed from storage", removed)
    except HeliosError as exc:
        api.log.warning("Objects of the run could not be removed from storage: %s", exc)


async def _send_end(webhook: Webhook, run: FlowRun, outcome: Outcome, logger: log.RunLogger) -> None:
    """Send a run's end to its webhook."""
    result = await outcome.aresult(raise_on_failure=False)
    report = result if isinstance(result, JobReport) else getattr(result, "report", None)
    await webhook.send_end(run, job_state(outcome), outcome.message or "", report=report, log=logger)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
