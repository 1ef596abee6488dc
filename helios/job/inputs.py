"""What the chunks of a job read, as digests: files, named environment variables, and the revision.

A chunk reads the files that its `inputs`, or else the job's, name; by default all of the job directory but outputs,
names that begin with a dot, and side files (`helios.job.side_files`). It always reads the files in the job directory
that words of its command name, such as its program. Its digest is made of relative names and contents alone, so that it
is the same in another directory, on another machine, and for a job of another name.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from helios.job.command_files import CommandFiles
from helios.job.file_digests import FOLDER, FileDigests, FileState, file_clock_ns, look_at, refuse_unreadable
from helios.job.folder_walk import Seen
from helios.job.input_list import InputChange, InputList, printable, set_name
from helios.job.selection import select_files
from helios.models.spec import JobSpec, RenderJobChunk

MAX_FILES = 50_000
"""More files, where none are named, are not looked at: the job directory is then a home folder, or a disk."""
MAX_BYTES = 20 * 1024**3
"""Likewise: reading them takes 20 to 60 s."""
Patterns = tuple[str, ...] | None
"""Glob patterns; None for everything that can be seen."""


@dataclass(frozen=True)
class InputRules:
    """Which inputs a job has."""

    directory: Path
    """The job directory, without links in its path."""
    patterns: Patterns
    """What chunks read that name nothing themselves."""
    written: frozenset[str]
    """Absolute paths of files that are no inputs: what the job writes, its document, its sound track."""
    variables: Mapping[str, str]
    """The environment variables that are named for commands."""
    revision: str | None = None
    """Any text; another one makes every chunk another one."""
    field: str = "inputs"
    """What the job's patterns are called in messages."""
    apart: frozenset[str] = frozenset()
    """Names of files in the job directory that are no inputs of this run alone: its document, its sound track."""

    def of(self, chunk: RenderJobChunk) -> Patterns:
        """The patterns of a chunk."""
        return self.patterns if chunk.inputs is None else chunk.inputs


class Inputs:
    """The inputs of a job's chunks, as they were at one time; made by `take_inputs`.

    Args:
        rules: Which inputs there are.
        sets: The names of the files that each set of patterns selects.
        digests: The digest of each file.
        states: How each file looked before it was hashed.
        words: Files that words of commands name.
        side_files: Files that are no inputs, because commands of earlier runs wrote them.
        outside: Links to folders outside the job directory, which are not looked into.
    """

    def __init__(
        self,
        rules: InputRules,
        *,
        sets: Mapping[Patterns, frozenset[str]],
        digests: Mapping[str, str],
        states: Mapping[str, FileState],
        words: CommandFiles,
        side_files: Mapping[str, FileState],
        outside: Mapping[str, str],
    ) -> None:
        self.digests = digests
        """By file name."""
        self.states = states
        """By file name: how each looked before it was hashed."""
        self.side_files = side_files
        """Files that are no inputs, because commands of earlier runs wrote them."""
        self.outside = outside
        """Links to folders outside the job directory, which are not looked into, each with where it leads."""
        self._rules = rules
        self._sets = sets
        self._words = words
        self._of_sets: dict[Patterns, str] = {}
        self._of_groups: dict[tuple[Patterns, tuple[str, ...]], str] = {}

    def digest_of(self, chunk: RenderJobChunk) -> str:
        """The digest of all that a chunk reads, in hexadecimal."""
        patterns = self._rules.of(chunk)
        group = (patterns, self._extra_files(chunk, patterns))
        if group not in self._of_groups:
            parts = [self._of_set(patterns), _digest_of_files(self.digests, group[1])]
            self._of_groups[group] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self._of_groups[group]

    def since(self, before: InputList) -> "InputComparison":
        """Compare with the inputs of an earlier run."""
        return InputComparison(before, self)

    @cached_property
    def listed(self) -> InputList:
        """What later runs compare their inputs with."""
        rules = self._rules
        sets = {set_name(patterns): names for patterns, names in self._sets.items()}
        return InputList(
            self.digests, sets, variables=_digests_of(rules.variables), revision=rules.revision, apart=rules.apart
        )

    def find_changed(self) -> list[str]:
        """The files whose contents are others by now, or that are gone. Blocking; reads only what looks changed."""
        directory = self._rules.directory
        now = look_at(directory, self.digests)
        touched = {name: now[name] for name in self.digests if name in now and now[name] != self.states.get(name)}
        digests = FileDigests(directory, now_ns=0).of(touched) if touched else {}
        return [
            name
            for name, digest in self.digests.items()
            if name not in now or (name in touched and digests.get(name) != digest)
        ]

    def _extra_files(self, chunk: RenderJobChunk, patterns: Patterns) -> tuple[str, ...]:
        """The files that the chunk's command names, and its patterns do not."""
        selected = self._sets[patterns]
        return tuple(name for name in self._words.of(chunk) if name not in selected and name in self.digests)

    def _of_set(self, patterns: Patterns) -> str:
        """The digest of what all chunks with the same patterns read: computed once."""
        if patterns not in self._of_sets:
            rules = self._rules
            named = json.dumps(["inputs 1", rules.revision, list(_digests_of(rules.variables).items())])
            files = _digest_of_files(self.digests, self._sets[patterns])
            self._of_sets[patterns] = hashlib.sha256(f"{named}\n{files}".encode()).hexdigest()
        return self._of_sets[patterns]


class InputComparison:
    """What changed between the inputs of an earlier run and those of now; the work for a set of files is done once.

    Args:
        before: The inputs of the earlier run.
        now: The inputs.
    """

    def __init__(self, before: InputList, now: Inputs) -> None:
        self._before = before
        self._now = now
        self._of_sets: dict[Patterns, list[InputChange]] = {}
        self._gone: dict[str, frozenset[str]] = {}

    def changes_for(self, chunk: RenderJobChunk) -> tuple[list[InputChange], list[InputChange]]:
        """What changed of what a chunk reads; nothing if only the selection did, and the files in it are as before.

        Returns:
            What changed for all chunks with the same patterns, one list for all of them; and for this chunk alone.
        """
        now, before = self._now, self._before
        patterns = now._rules.of(chunk)
        if patterns not in self._of_sets:
            self._of_sets[patterns] = [*now.listed.named_changes(before), *self._set_changes(patterns)]
        extra = now._extra_files(chunk, patterns)
        gone = {name for name in now._words.named(chunk) if self._is_gone(name)}
        own = now.listed.file_changes(before, extra, missing=gone) if extra or gone else []
        return self._of_sets[patterns], own

    def _set_changes(self, patterns: Patterns) -> list[InputChange]:
        before, names = self._before, self._now._sets[patterns]
        earlier = set_name(patterns)
        if earlier not in before.sets:
            earlier = ""  # which files of another selection these patterns would have selected, is not known: all
        if earlier not in self._gone:
            of = before.sets[earlier] if earlier else before.digests
            self._gone[earlier] = frozenset(name for name in of if self._is_gone(name))
        return self._now.listed.file_changes(before, names, missing=self._gone[earlier])

    def _is_gone(self, name: str) -> bool:
        """Whether an earlier run had a file that is not there any more."""
        if name not in self._before.digests or name in self._now.listed.printable_names:
            return False
        return not os.path.lexists(f"{self._now._rules.directory}/{name}")


def take_inputs(
    rules: InputRules,
    spec: JobSpec,
    *,
    find_side_files: Callable[[Mapping[str, FileState]], Mapping[str, FileState]],
    stop: threading.Event | None = None,
) -> Inputs | None:
    """Find and hash what the chunks of a job read. Blocking: call it in a thread.

    Args:
        rules: Which inputs there are.
        spec: The job document.
        find_side_files: Says which of the files that are there by default are none.
        stop: Set from another thread, ends the hashing.

    Returns:
        The inputs; None where none are named and the directory holds too much.

    Raises:
        RequestError: A pattern finds nothing, or a file that was named can't be read.
        HashingStoppedError: `stop` was set.
    """
    try:
        now_ns = file_clock_ns(rules.directory / FOLDER)
    except OSError:
        now_ns = 0  # no digest is trusted later
    seen = Seen()
    sets = _select(rules, spec, seen)
    if sets is None:
        return None
    words = CommandFiles(rules.directory, is_written=rules.written.__contains__)
    named = {name for chunk in spec.chunks for name in words.of(chunk)}
    given = {name for patterns, names in sets.items() if patterns is not None for name in names}
    states = look_at(rules.directory, sorted({*named, *given, *sets.get(None, ())}))
    if None in sets and sum(state.size for state in states.values()) > MAX_BYTES:
        return None
    side_files = find_side_files({name: state for name, state in states.items() if name not in given})
    for name in side_files:
        del states[name]
    digests = FileDigests(rules.directory, now_ns=now_ns, stop=stop)
    found = digests.of(states)
    digests.save(found)
    refuse_unreadable({name: found[name] for name in given if name in found}, rules.directory)
    present = {patterns: frozenset(name for name in names if name in found) for patterns, names in sets.items()}
    outside = {name: place for name, place in seen.outside.items() if name not in found and os.path.isdir(place)}
    return Inputs(
        rules, sets=present, digests=found, states=states, words=words, side_files=side_files, outside=outside
    )


def _select(rules: InputRules, spec: JobSpec, seen: Seen) -> dict[Patterns, list[str]] | None:
    """The files of each set of patterns, found once; None if the default set is too large."""
    sets: dict[Patterns, list[str]] = {}
    for patterns in {rules.of(chunk): None for chunk in spec.chunks}:
        field = rules.field if patterns == rules.patterns else "inputs"
        selected = select_files(
            rules.directory,
            patterns=patterns,
            written=rules.written,
            field=field,
            seen=seen if patterns is None else None,
        )
        sets[patterns] = list(islice(selected, MAX_FILES + 1)) if patterns is None else list(selected)
        if patterns is None and len(sets[patterns]) > MAX_FILES:
            return None
    return sets


def _digest_of_files(digests: Mapping[str, str], names: Iterable[str]) -> str:
    lines = sorted(f"{printable(name)}\0{digests[name]}" for name in names)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digests_of(variables: Mapping[str, str]) -> dict[str, str]:
    """A digest for each variable; bytes that are not UTF-8 are escaped."""
    return {
        printable(name): hashlib.sha256(printable(value).encode()).hexdigest()[:32]
        for name, value in sorted(variables.items())
    }
