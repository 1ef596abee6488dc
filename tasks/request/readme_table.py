"""The README's table of parameters: `python -m tasks.request.readme_table` prints it."""

from tasks.request.parameters import PARAMETERS


def readme_table() -> str:
    """The table of the README."""
    rows = [
        f"| `{one.name}` | {f'`{one.option}`' if one.option else 'SPEC'} | {one.description} |"
        for one in PARAMETERS.values()
    ]
    return "\n".join(["| parameter | option | |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(readme_table())  # noqa: T201  for the README
