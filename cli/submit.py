"""`helios-job submit`: give a job to the workers of a deployment."""

import os
from typing import Any

import click

from cli.adapter_option import refuse_secrets
from cli.ask import ask
from cli.job_options import flow_parameters, given, job_options
from helios.job.source import load_job_spec


@click.command(
    epilog="Examples: helios-job submit job.json --output video.mp4; helios-job wait $(helios-job submit job.json)"
)
@job_options
@click.option("--deployment", default="local", show_default=True, metavar="NAME", help="Whose workers render it.")
@click.option("--queue", metavar="NAME", help="The work queue, whose priority the job has. [default: the deployment's]")
def submit(deployment: str, queue: str | None, **words: Any) -> int:
    """Give a job to workers, and print its run's id. SPEC is a path, a URL, or - for standard input.

    What is not said here is as the deployment says. Paths must mean the same on the worker's machine.
    """
    parameters = given(click.get_current_context(), flow_parameters(words))
    load_job_spec(parameters["job"])
    if words["spec"] == "-":
        parameters.setdefault("job_dir", os.getcwd())
    refuse_secrets([parameters.get("adapter"), parameters.get("merge_adapter")])
    from farm.runs import submit_run

    run = ask(lambda client: submit_run(client, deployment, parameters, queue=queue))
    click.echo(run.id)
    return 0
