"""What an encode is asked for, as the flow's parameters and the command's options have it; and what that means."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from helios.encode.cutting import Cutting
from helios.encode.recipe import Recipe
from helios.errors import RequestError
from helios.models.framerate import parse_frame_rate
from helios.models.verification import VerifyLevel
from helios.storage.urls import is_storage_url, split_url
from tasks.request.encode import EncodeOrder
from tasks.request.request import RenderRequest

NOT_FOR_ENCODES = ("audio_file", "audio_tracks", "audio_codec", "chunks", "merge", "merge_adapter", "last_chunk")
"""Parameters of a job that an encode decides itself."""


@dataclass(frozen=True)
class EncodeRequest:
    """An encode of one source. `tasks.request.encode_parameters` describes each field."""

    source: str
    output_file: str
    codec: str = "svt-av1"
    crf: str | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    params: str | None = None
    vf: str | None = None
    target: str | None = None
    threads: int = 0
    fps: str | None = None
    cut: str = "scenes"
    shortest: float | None = None
    longest: float | None = None
    sound: str = "copy"
    verify: str | None = None
    job_dir: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "EncodeRequest":
        """Take its fields from more values than those."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def order(self) -> EncodeOrder:
        """What it means on this machine.

        Raises:
            RequestError: A value can't be read.
        """
        if not self.source or not self.output_file:
            raise RequestError("Name the video to encode (source) and the one to write (output_file)")
        return EncodeOrder(
            source=Path(self.source).expanduser().absolute(),
            output=Path(_file_name(self.output_file)) if is_storage_url(self.output_file) else Path(self.output_file),
            recipe=Recipe.from_words({name: getattr(self, name) for name in Recipe.__dataclass_fields__}),
            cutting=Cutting(self.cut, self.shortest, self.longest),
            fps=_rate(self.fps),
            sound=self.sound,
            job_dir=self._directory,
            compares=self.verify == VerifyLevel.PICTURES,
        )

    @property
    def _directory(self) -> Path:
        """Where chunks lie: beside the output, unless it was asked for elsewhere."""
        if self.job_dir is not None:
            return Path(self.job_dir).expanduser().absolute()
        output = self.output_file
        beside = Path.cwd() if is_storage_url(output) else Path(output).expanduser().absolute().parent
        return beside / f"{_file_name(output)}.encode"

    def job(self, document: Path, *, job_dir: Path, options: Mapping[str, Any]) -> RenderRequest:
        """What the run of its job is asked for.

        Args:
            document: The job document.
            job_dir: Where chunks lie.
            options: Further parameters of the flow `render-job`.

        Raises:
            RequestError: There is no such parameter, or an encode decides it itself.
        """
        known = {field.name for field in fields(RenderRequest)} - {"job", "job_dir", "output_file", "verify"}
        if unknown := sorted(set(options) - (known - set(NOT_FOR_ENCODES))):
            raise RequestError(
                f"options: {unknown[0]!r} is no parameter of render-job that an encode takes; expected some of "
                f"{', '.join(sorted(known - set(NOT_FOR_ENCODES)))}"
            )
        return RenderRequest(
            job=str(document), job_dir=str(job_dir), output_file=self.output_file, verify=self.verify, **options
        )


def _file_name(output: str) -> str:
    """The output's file name, which tells its container."""
    return PurePosixPath(split_url(output)[1]).name if is_storage_url(output) else Path(output).name


def _rate(text: str | None) -> Fraction | None:
    try:
        return None if text is None else parse_frame_rate(text)
    except ValueError as exc:
        raise RequestError(f"--fps {text!r}: expected {exc}") from None
