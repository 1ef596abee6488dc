"""The list of a run's inputs, as it is kept for later runs, and what changed between two lists."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

SHOWN_CHANGES = 5
"""How many changes a line names."""


class ChangeKind(Enum):
    """What happened to an input: said of one, and of several."""

    CHANGED = ("changed", "changed")
    """Its content is another one."""
    NEW = ("is new", "are new")
    """It was not there."""
    REMOVED = ("was removed", "were removed")
    """It is not there any more."""


@dataclass(frozen=True)
class InputChange:
    """What happened to one input."""

    name: str
    """A file's name, or what else it is: `variable X`, `the revision`."""
    kind: ChangeKind
    """What happened to it."""
    is_file: bool = True
    """Whether it is a file."""


def describe_changes(changes: Sequence[InputChange]) -> str:
    """A line for people: `a.html, b.css changed, c.png is new and 3 more`."""
    kinds: dict[ChangeKind, list[str]] = {}
    for change in changes[:SHOWN_CHANGES]:
        kinds.setdefault(change.kind, []).append(change.name)
    texts = [f"{', '.join(names)} {kind.value[len(names) > 1]}" for kind, names in kinds.items()]
    more = len(changes) - SHOWN_CHANGES
    return ", ".join(texts) + (f" and {more} more" if more > 0 else "")


def set_name(patterns: Sequence[str] | None) -> str:
    """The name of a set of files in a list: the patterns that select it."""
    return "default" if patterns is None else json.dumps(list(patterns))


@dataclass(frozen=True)
class InputList:
    """What the chunks of one run read."""

    digests: Mapping[str, str]
    """The digest of each file."""
    sets: Mapping[str, frozenset[str]]
    """The files that each set of patterns selects."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """A digest of the value of each named environment variable: values can be secret."""
    revision: str | None = None
    """The revision."""
    apart: frozenset[str] = frozenset()
    """Files that no set has only because this run used them for something else: the document, a sound track."""

    @cached_property
    def document(self) -> dict[str, Any]:
        """The list as JSON has it: sets name files by their positions."""
        names = sorted(self.digests)
        positions = {name: position for position, name in enumerate(names)}
        return {
            "files": {printable(name): self.digests[name] for name in names},
            "sets": {
                key: sorted(positions[name] for name in self.sets[key] if name in positions)
                for key in sorted(self.sets)
            },
            "variables": dict(sorted(self.variables.items())),
            "revision": self.revision,
            "apart": sorted(map(printable, self.apart)),
        }

    @cached_property
    def printable_names(self) -> frozenset[str]:
        """The names of all files, as a document has them."""
        return frozenset(map(printable, self.digests))

    @cached_property
    def key(self) -> str:
        """Names the list among a job's: lists with the same content have the same name."""
        return hashlib.sha256(json.dumps(self.document).encode()).hexdigest()[:32]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "InputList":
        """Read what `document` is; names in it are printable.

        Raises:
            ValueError: It is no such list.
        """
        try:
            files = dict(document["files"])
            names = list(files)
            sets = {key: frozenset(names[position] for position in of) for key, of in document["sets"].items()}
            return cls(files, sets, dict(document["variables"]), document["revision"], frozenset(document["apart"]))
        except (KeyError, TypeError, AttributeError, IndexError) as exc:
            raise ValueError(f"not a list of inputs: {exc!r}") from exc

    def named_changes(self, before: "InputList") -> list[InputChange]:
        """What changed of the variables and of the revision: the same for all chunks."""
        changes = [
            InputChange(f"variable {name}", ChangeKind.CHANGED, is_file=False)
            for name in sorted({*self.variables, *before.variables})
            if self.variables.get(name) != before.variables.get(name)
        ]
        if self.revision != before.revision:
            changes.append(InputChange("the revision", ChangeKind.CHANGED, is_file=False))
        return changes

    def file_changes(
        self, before: "InputList", names: Collection[str], *, missing: Collection[str] = ()
    ) -> list[InputChange]:
        """What changed of some files.

        Args:
            before: The earlier list, as read from its document.
            names: Files of this list.
            missing: Names that are not in this list, and whose files are gone.
        """
        changes = []
        for name in sorted(names):
            known = before.digests.get(printable(name))
            if known is None and printable(name) not in before.apart:
                changes.append(InputChange(printable(name), ChangeKind.NEW))
            elif known is not None and known != self.digests[name]:
                changes.append(InputChange(printable(name), ChangeKind.CHANGED))
        removed = [InputChange(name, ChangeKind.REMOVED) for name in sorted(missing) if name in before.digests]
        return changes + removed


def printable(name: str) -> str:
    """A file's name with escapes for bytes that are not UTF-8, which no JSON document can hold."""
    return name if name.isprintable() else name.encode("utf-8", "backslashreplace").decode()
