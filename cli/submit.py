"""`helios-job submit`: give a job to the workers of a deployment."""

import os
from typing import Any

import click

import farm
from cli.ask import ask
from cli.job_options import given, job_options, read_request
from cli.say import say
from farm.masked import refuse_secrets


@click.command(
    epilog="Examples: helios-job submit job.json --output video.mp4; helios-job wait $(helios-job submit job.json)"
)
@job_options()
@click.option("--deployment", default="local", show_default=True, metavar="NAME", help="Whose workers render it.")
@click.option("--queue", metavar="NAME", help="The work queue: urgent, default, … [default: the deployment's]")
@click.option(
    "--priority", metavar="LEVEL", help="Its share of slots: urgent, default, background. [default: its queue]"
)
def submit(deployment: str, queue: str | None, priority: str | None, **words: Any) -> int:
    """Give a job to workers, and print its run's id. SPEC is a path, a URL, or - for standard input.

    What is not said here is as the deployment says. Paths must mean the same on the worker's machine.
    """
    request = read_request(words)
    request.load()
    parameters = given(click.get_current_context(), request)
    if words["spec"] == "-":
        parameters.setdefault("job_dir", os.getcwd())
    refuse_secrets([parameters.get("adapter"), parameters.get("merge_adapter")])
    run = ask(
        lambda client: farm.submit(**parameters, deployment=deployment, queue=queue, priority=priority, client=client)
    )
    say(run.id)
    return 0
