"""What a step requires of its host, in the words of job documents."""

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from helios.errors import RequestError
from helios.models.requires import NOTHING, Requires

MEBIBYTE = 1024 * 1024
_MEMORY, _GPUS, _SYSTEM = "amount.worker.memory", "amount.worker.gpu", "attr.worker.os.family"


def requires_of(step: Any, ignored: Iterable[str]) -> Requires:
    """What a step requires.

    Memory (in MiB) and GPUs are those of `requires`; an attribute that has to have one value, or all of several,
    becomes tags of these values. Systems of which Linux is one ask for nothing: it is what workers run on.

    Args:
        step: The library's step.
        ignored: Names of requirements that are left out.

    Raises:
        RequestError: A requirement can't be held; names it.
    """
    found, left_out = NOTHING, set(ignored)
    wanted = step.hostRequirements
    for one in wanted.amounts or [] if wanted else []:
        if one.name not in left_out:
            found |= _amount(step.name, one)
    for one in wanted.attributes or [] if wanted else []:
        if one.name not in left_out:
            found |= _attribute(step.name, one)
    return found


def _amount(step: str, one: Any) -> Requires:
    if one.name in (_MEMORY, _GPUS) and one.max is None and one.min is not None:
        if one.name == _GPUS and one.min == int(one.min):
            return Requires(gpus=int(one.min))
        if one.name == _MEMORY:
            return Requires(memory=int(one.min * MEBIBYTE))
    bounds = ", ".join(f"{word} {value}" for word, value in (("min", one.min), ("max", one.max)) if value is not None)
    raise _refusal(step, one.name, bounds, f"`min` of {_MEMORY} and {_GPUS}")


def _attribute(step: str, one: Any) -> Requires:
    if one.name == _SYSTEM and "linux" in (one.anyOf or one.allOf):
        return NOTHING
    words = one.allOf or (one.anyOf if len(one.anyOf or ()) == 1 else None)
    if words and one.name != _SYSTEM:
        try:
            return Requires(tags=frozenset(map(str, words)))
        except ValidationError:
            pass
    shown = f"anyOf {', '.join(one.anyOf)}" if one.anyOf else f"allOf {', '.join(one.allOf)}"
    raise _refusal(step, one.name, shown, "attributes of one value (anyOf), or of several that all are wanted (allOf)")


def _refusal(step: str, name: str, found: str, held: str) -> RequestError:
    return RequestError(
        f"Step {step!r} requires {name} ({found}), which `requires` of a job document can't hold; it holds {held}. "
        f"Leave it out with --ignore-requirement {name}"
    )
