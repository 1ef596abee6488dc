"""Read a template and the values of its parameters."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helios.bounded_json import check_bounds
from helios.errors import RequestError
from helios.job.source import read_document
from helios.openjd.kept import PATHS, KeptTemplate, Value
from helios.openjd.library import EXTENSIONS, libraries

MAX_TEMPLATE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class OpenedJob:
    """A template with values for its parameters."""

    document: dict[str, Any]
    """The template as it was read."""
    template: Any
    """The library's `JobTemplate`."""
    values: Mapping[str, Any]
    """The library's `ParameterValue` of each job parameter; paths are absolute."""
    made: Any
    """The library's `JobWithSymbolTables`."""

    @property
    def steps(self) -> list[Any]:
        """The library's steps, in the template's order."""
        return list(self.made.job.steps)

    def step(self, name: str) -> Any:
        """The step of a name.

        Raises:
            RequestError: There is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        names = ", ".join(repr(step.name) for step in self.steps)
        raise RequestError(f"The template has no step {name!r}; it has {names}")


def open_job(path: Path, given: Sequence[str]) -> OpenedJob:
    """Read a template file and give its parameters their values.

    Args:
        path: The template, YAML or JSON.
        given: `Name=Value`; a path is relative to the current folder. Parameters that are not given have the
            template's defaults, whose paths are relative to the template.

    Raises:
        RequestError: The template, or a value, is not sound; says all that is wrong.
    """
    model = libraries().model
    document = _document(path)
    try:
        template = model.decode_job_template(template=document, supported_extensions=EXTENSIONS)
    except (model.DecodeValidationError, NotImplementedError) as exc:
        raise RequestError(f"{path} is no sound job template of Open Job Description: {_line(exc)}") from None
    try:
        values = model.preprocess_job_parameters(
            job_template=template,
            job_parameter_values=named_values(given, option="-p"),
            job_template_dir=path.absolute().parent,
            current_working_dir=Path.cwd(),
        )
    except ValueError as exc:
        raise RequestError(f"{path}: {_line(exc)} (-p Name=Value){_known(template)}") from None
    return _made(document, template, values, source=str(path))


def reopen_job(kept: KeptTemplate, *, base: Path, images_folder: Path | None = None) -> OpenedJob:
    """The job of a kept template on this machine.

    Args:
        kept: What was kept.
        base: The job directory here, to which its paths are relative.
        images_folder: Where the images go in this attempt.
    """
    model = libraries().model
    template = model.decode_job_template(template=kept.template, supported_extensions=EXTENSIONS)
    values = {name: parameter_value(value, base=base) for name, value in kept.parameters.items()}
    if images_folder is not None and kept.folder is not None:
        values[kept.folder] = model.ParameterValue(type=values[kept.folder].type, value=str(images_folder))
    return _made(kept.template, template, values, source="The template")


def named_values(words: Sequence[str], *, option: str) -> dict[str, str]:
    """Values by name, of words such as `Frames=1-10`.

    Raises:
        RequestError: One is no such word, or a name comes twice.
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise RequestError(f"{option} {word[:80]!r}: expected Name=Value")
        if name in values:
            raise RequestError(f"{option} {name}: given twice; give it once")
        values[name] = value
    return values


def parameter_value(kept: Value, *, base: Path) -> Any:
    """The library's value; paths become absolute."""
    value = kept.value
    if kept.type in PATHS:
        value = [_absolute(one, base) for one in value] if isinstance(value, list) else _absolute(value, base)
    model = libraries().model
    return model.ParameterValue(type=model.ParameterValueType(kept.type), value=value)


def kept_value(value: Any, *, job_dir: Path) -> Value:
    """A value of the library as it is kept: a path inside the job directory becomes relative to it."""
    return in_job_dir(Value(type=str(value.type.value), value=value.value), job_dir)


def in_job_dir(value: Value, job_dir: Path) -> Value:
    """A value whose paths inside the job directory are relative to it."""
    found = value.value
    if value.type in PATHS:
        found = [_relative(one, job_dir) for one in found] if isinstance(found, list) else _relative(found, job_dir)
    return Value(type=value.type, value=found)


def _document(path: Path) -> dict[str, Any]:
    model = libraries().model
    if path.is_dir():
        raise RequestError(f"{path} is a folder; expected a template file, such as {path / 'template.yaml'}")
    data = read_document(path)
    if len(data) > MAX_TEMPLATE_BYTES:
        raise RequestError(f"{path} has more than 4 MiB; expected a job template")
    kind = model.DocumentType.JSON if path.suffix.lower() == ".json" else model.DocumentType.YAML
    try:
        document: dict[str, Any] = model.document_string_to_object(document=data.decode(), document_type=kind)
        check_bounds(document)  # aliases of YAML make a few lines into any number of values
    except (ValueError, model.DecodeValidationError) as exc:
        raise RequestError(f"{path} is no job template of Open Job Description: {_line(exc)}") from None
    return document


def _made(document: dict[str, Any], template: Any, values: Mapping[str, Any], *, source: str) -> OpenedJob:
    model = libraries().model
    try:
        made = model.create_job_with_symbol_tables(job_template=template, job_parameter_values=values)
    except (model.DecodeValidationError, ValueError) as exc:
        raise RequestError(f"{source} makes no job with these parameters: {_line(exc)}") from None
    return OpenedJob(document, template, values, made)


def _known(template: Any) -> str:
    names = ", ".join(str(one.name) for one in template.parameterDefinitions or [])
    return f"; its parameters are {names}" if names else "; it has no parameters"


def _line(error: Exception) -> str:
    """An error of the library, which has several lines, in one."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _absolute(path: str, base: Path) -> str:
    return path if not path or "://" in path else os.path.normpath(base / path)


def _relative(path: str, job_dir: Path) -> str:
    if not path or "://" in path:
        return path
    for place in (job_dir, job_dir.resolve()):
        if (found := Path(os.path.normpath(path))).is_relative_to(place):
            return found.relative_to(place).as_posix()
    return path
