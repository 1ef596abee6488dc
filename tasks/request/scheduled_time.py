"""The time that a run was first planned for, in the time zone of its schedule."""

from datetime import datetime
from zoneinfo import ZoneInfo

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun

SCHEDULE = "SCHEDULE"
"""Prefect's name for the creator of a scheduled run."""


def is_scheduled(run: FlowRun) -> bool:
    """Whether a schedule started a run."""
    return run.created_by is not None and run.created_by.type == SCHEDULE


async def find_schedule(client: PrefectClient, run: FlowRun) -> DeploymentSchedule | None:
    """The schedule that made a run; None for other runs, and where the schedule is gone."""
    if not is_scheduled(run) or run.deployment_id is None or run.created_by is None:
        return None
    schedules = await client.read_deployment_schedules(run.deployment_id)
    return next((schedule for schedule in schedules if schedule.id == run.created_by.id), None)


async def scheduled_time(client: PrefectClient, run: FlowRun) -> datetime:
    """The time that a run was first planned for; without a schedule, in this machine's time zone."""
    planned = run.expected_start_time or run.created or datetime.now().astimezone()
    schedule = await find_schedule(client, run)
    zone = getattr(schedule.schedule, "timezone", None) if schedule is not None else None
    return planned.astimezone(ZoneInfo(zone) if zone else None)
