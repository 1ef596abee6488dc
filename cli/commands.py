"""The commands by name: each is loaded when it is asked for, since most of them load a second of code."""

from importlib import import_module

import click

COMMANDS = {
    "run": ("cli.run", "run", "Render a job and wait for its end."),
    "validate": ("cli.validate", "validate", "Check a job document."),
    "plan": ("cli.plan", "plan", "Cut a range of frames into chunks and write the job document for them."),
    "openjd": ("cli.openjd", "openjd", "Write a job document from a template of Open Job Description."),
    "batch": ("cli.batch", "batch", "Render one job for each row of a table."),
    "encode": ("cli.encode", "encode", "Encode a video in chunks, as any job is rendered, and wait for its end."),
    "quote": (
        "cli.quote",
        "quote_command",
        "Render a sample of three chunks, and say how long the job takes and what it costs.",
    ),
    "submit": ("cli.submit", "submit", "Give a job to workers, and print its run's id."),
    "list": ("cli.look", "list_command", "List runs of jobs."),
    "status": ("cli.look", "status", "Say where a run stands, or a batch with its rows."),
    "explain": ("cli.look", "explain", "Say why a run that has ended took its time: waits, failures, second attempts."),
    "logs": ("cli.look", "logs", "Print what a run and its chunks have logged; of a batch, also its rows."),
    "watch": (
        "cli.watch",
        "watch",
        "Play a run's video in the browser while it renders, and after its end, until Ctrl-C.",
    ),
    "wait": ("cli.look", "wait", "Wait for a run's end; its exit code is that of `helios-job run`, or `batch`."),
    "cancel": (
        "cli.control",
        "cancel",
        "Stop a run, or a batch and its rows: nothing new starts, and every process of it ends.",
    ),
    "pause": (
        "cli.control",
        "pause",
        "Let a run's chunks in flight finish, and start nothing new until it is resumed.",
    ),
    "priority": (
        "cli.control",
        "priority",
        "Give a run another share of the slots that other jobs want as well, also while it renders.",
    ),
    "resume": (
        "cli.control",
        "resume",
        "Go on with a run where it stopped, whatever stopped it: accepted chunks that are still there are reused.",
    ),
    "retry": (
        "cli.control",
        "retry",
        "Run a run that has ended once more, as Retry in Prefect's UI does: accepted chunks are reused.",
    ),
    "delete": ("cli.control", "delete", "Remove a run that has ended: from Prefect, and what it left in storage."),
    "up": (
        "cli.up",
        "up",
        "Start a Prefect server, the deployments and a worker; Ctrl-C stops all of it, running jobs included.",
    ),
    "worker": (
        "cli.worker",
        "worker",
        "Carry out runs of deployments on this machine until SIGTERM or Ctrl-C, which end its jobs too.",
    ),
    "workers": (
        "cli.workers",
        "workers",
        "List the workers that carry out runs of deployments, and what each renders now.",
    ),
    "metrics": ("cli.metrics", "metrics", "Serve figures of the farm for Prometheus, until SIGTERM or Ctrl-C."),
    "farm": ("cli.farm", "farm", "An own farm: several machines that render chunks of one job."),
    "node": (
        "cli.node",
        "node",
        "Render chunks for an own farm on this machine, until SIGTERM or Ctrl-C; what runs is finished first.",
    ),
    "completion": (
        "cli.completion",
        "completion",
        "Print a script with which SHELL completes commands, options, files, adapters and runs.",
    ),
    "env": ("cli.env", "env", "Print the settings of the farm that is up, for a shell to take over."),
    "doctor": (
        "cli.doctor",
        "doctor",
        "Check credentials, permissions, reachability, quota and a round trip, and say what to fix.",
    ),
    "cache": (
        "cli.cache",
        "cache",
        "Look after a cache of outputs (--cache): a folder, or an s3:// or gs:// URL, with the environment's rights.",
    ),
}
"""Of each command the module, the function there, and the line in the list of commands."""


class Commands(click.Group):
    """A group that loads the command that was asked for, and none of the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="helios-render", prog_name="helios-job")
def commands() -> None:
    """Render videos in chunks, verify every chunk, and join them into one exact video."""
