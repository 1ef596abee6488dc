"""What a batch is asked for: a document with names of columns, a table, and what each of its jobs is asked for."""

import glob
import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from helios.batch.outputs import OTHER_ROWS, add_outputs
from helios.batch.rows import Row, read_rows
from helios.batch.template import ROW, Template, check_file_name
from helios.errors import HeliosError, RequestError
from helios.job.kept_document import keep_document
from helios.job.source import parse_document, read_document
from helios.storage.urls import is_storage_url
from tasks.request.request import RenderRequest, is_elsewhere

_PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]*)\}(?!\})")


@dataclass(frozen=True)
class RowJob:
    """The job of one row."""

    row: Row
    """The row."""
    document: Mapping[str, Any]
    """Its job document."""
    request: RenderRequest
    """What its run is asked for, with the document as its job."""

    def kept(self) -> RenderRequest:
        """The request with its document in a file of the job directory: the same document has the same file.

        Raises:
            RequestError: It can't be written.
        """
        directory = self.request.directory.absolute()
        return replace(self.request, job=str(keep_document(self.document, directory)), job_dir=str(directory))


@dataclass(frozen=True)
class BatchRequest:
    """A batch of jobs, one for each row of a table."""

    template: str
    """Path or URL of a job document with names of columns in braces."""
    table: str
    """Path or URL of the table: CSV, or JSON lines."""
    each: RenderRequest
    """What each job is asked for. Its `output_file` may name columns; its `job` does not count."""
    only: Collection[int] | None = None
    """Numbers of the rows to render; all of them by default."""

    @cached_property
    def _template(self) -> Template:
        return Template(parse_document(read_document(self.template), source=self.template), source=self.template)

    @cached_property
    def rows(self) -> Sequence[Row]:
        """The rows that are asked for, in order.

        Raises:
            RequestError: There is no sound table, or no row of a number that is asked for.
        """
        rows = read_rows(read_document(self.table), source=self.table)
        if self.only is None:
            return rows
        if unknown := sorted(set(self.only) - {row.number for row in rows}):
            raise RequestError(f"{self.table} has no row {unknown[0]}; expected 1 to {len(rows)}")
        return [row for row in rows if row.number in self.only]

    def jobs(self) -> Iterator[RowJob]:
        """The rows' jobs, in order. Each is made when it is asked for: all of a large batch take gigabytes.

        Raises:
            RequestError: A row can't be filled in.
        """
        for row in self.rows:
            output = None if self.each.output_file is None else _video(self.each.output_file, row)
            document = self._without_own_files(self._template.fill(row))
            request = replace(self.each, job=document, job_dir=self._directory, output_file=output)
            yield RowJob(row, document, request)

    @property
    def _directory(self) -> str:
        return str(replace(self.each, job=self.template).directory.absolute())

    def _without_own_files(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document of a row, of which template and table are no inputs: what counts of them is in the document."""
        directory = Path(self._directory)
        own = [Path(place) for place in (self.template, self.table) if not is_elsewhere(place)]
        names = [path.relative_to(directory).as_posix() for path in own if path.is_relative_to(directory)]
        return {**document, "exclude": [*(document.get("exclude") or ()), *map(glob.escape, names), OTHER_ROWS]}

    def check(self) -> frozenset[str]:
        """Refuse what can be refused by reading the documents and the table: before anything runs, and for every row.

        Returns:
            The files that the rows' jobs write in the job directory, relative to it.

        Raises:
            RequestError: A row's job can't work, or two rows would write the same file; says which.
        """
        if self.each.budget is not None:
            raise RequestError(
                "A batch has no budget (--budget), since each of its jobs would have one of its own; leave it out, or "
                "give each row to helios-job run"
            )
        self._template.check(list(self.rows), table=self.table)
        writers: dict[str, int] = {}
        directory = os.path.realpath(self._directory)
        for job in self.jobs():
            try:
                spec = job.request.check()
            except HeliosError as exc:
                raise RequestError(f"{self.table}, row {job.row.number}: {exc}") from None
            video = job.request.output_file or spec.output_file
            files = [
                *(chunk.output_file for chunk in spec.chunks),
                *([video] if video and job.request.is_joined else []),
            ]
            names = {f"the id {spec.id!r}", *(_place(file, directory) for file in files)}
            for name in sorted(names):
                if (first := writers.setdefault(name, job.row.number)) != job.row.number:
                    raise RequestError(
                        f"{self.table}: rows {first} and {job.row.number} both have {name}; put a column that tells "
                        "them apart, or {row}, into output names (outputFile, --output) and ids"
                    )
        own = f"{directory}/"
        return frozenset(name.removeprefix(own) for name in writers if name.startswith(own))

    def list_outputs(self) -> None:
        """Keep the rows' outputs from being inputs of other rows.

        Raises:
            RequestError: As `check`, or the list can't be written.
        """
        add_outputs(self.check(), Path(os.path.realpath(self._directory)))


def _place(file: str, directory: str) -> str:
    return file if is_storage_url(file) else posixpath.normpath(Path(directory) / file)


def _video(pattern: str, row: Row) -> str:
    """The name of a row's video. Placeholders of dates stay; braces in a value are doubled, so that they are none."""
    check_file_name(pattern, row)
    values: dict[str, Any] = {ROW: str(row.number), **row.values}

    def filled(found: "re.Match[str]") -> str:
        value = values.get(found[1])
        return found[0] if value is None else re.sub(r"\{([^{}]*)\}", r"{{\1}}", value)

    return _PLACEHOLDER.sub(filled, pattern)
