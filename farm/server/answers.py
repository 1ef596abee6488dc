"""What Prefect's server answered, in a line for people. Imports neither Prefect nor its HTTP client."""

from typing import Any

LONGEST = 300
"""Characters of an answer that are shown; some quote the whole job document."""


def describe_answer(answer: Any, *, longest: int = LONGEST) -> str:
    """What an answer says: the reason in it if it is JSON as Prefect's server writes it, else its text.

    Args:
        answer: A response of httpx.
        longest: Characters to keep.
    """
    try:
        found = answer.json()
    except ValueError:
        found = answer.text
    if isinstance(found, dict):
        found = found.get("exception_detail") or found.get("detail") or found
    if isinstance(found, list):
        found = "; ".join(str(one.get("msg", one)) if isinstance(one, dict) else str(one) for one in found)
    text = " ".join(str(found).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
