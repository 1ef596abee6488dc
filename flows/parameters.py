"""The flow's parameters as the form of Prefect's UI shows them: each with its type and its bounds.

Titles and descriptions are in `tasks.request.parameters`. Prefect gives each parameter its name as title;
`json_schema_extra` comes after that, and wins.

Forms send null, or an empty text, for fields that nobody filled in. Every parameter takes that for its default, and
the flow then asks `tasks.request.as_deployed` for what the deployment says.
"""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from adapters import AdapterConfig
from helios.media.sound_order import SoundCodec, SoundTracks
from helios.models.delivery import MAX_SECONDS
from helios.models.frame_numbers import MAX_CHUNKS
from helios.models.spec import MAX_REVISION
from helios.models.verification import VerifyLevel
from tasks.request.as_deployed import is_empty
from tasks.request.parameters import PARAMETERS
from tasks.request.places import PlaceSettings
from tasks.request.request import RenderRequest

_DEFAULTS = {field.name: field.default for field in fields(RenderRequest)} | {"job": ""}
"""What stands for a field that nobody filled in. A job that the deployment does not name either is refused."""


def _words(name: str) -> dict[str, Any]:
    """Title and description of a parameter, as the form's JSON schema has them."""
    parameter = PARAMETERS[name]
    return {"title": parameter.title, "description": parameter.form_text}


def _field(name: str, **bounds: Any) -> Any:
    """A parameter's words and bounds. It takes null and the empty text for its default; its schema stays as it is."""
    described = Field(json_schema_extra=_words(name), **bounds)
    described.metadata.append(BeforeValidator(lambda value: _DEFAULTS[name] if is_empty(value) else value))
    return described


# Each alternative is a tab, with a title of its own.
_Name = Annotated[Literal["local", "aws-lambda", "cloud-run", "cloud-run-job"], Field(title="by name")]
_Saved = Annotated[str, Field(title="saved")]
_Settings = Annotated[dict[str, Any], Field(title="as JSON")]
_Choice = _Name | _Saved | AdapterConfig | _Settings

_Unset = Annotated[None, Field(title="not set")]
_Seconds = Annotated[float, Field(title="seconds", gt=0)]
_Path = Annotated[str, Field(title="path")]

Job = Annotated[
    Annotated[str, Field(title="path or URL")] | Annotated[dict[str, Any], Field(title="the document")],
    _field("job"),
]
_Several = Annotated[
    list[_Name | PlaceSettings | AdapterConfig | _Saved | _Settings], Field(title="several, the preferred one first")
]
Adapter = Annotated[
    _Choice | _Several,
    Field(json_schema_extra=_words("adapter")),
    # A list of nothing is no field that was left empty: it is refused, as it is everywhere else.
    BeforeValidator(lambda value: _DEFAULTS["adapter"] if value != [] and is_empty(value) else value),
]
Concurrency = Annotated[Annotated[int, Field(title="number", ge=1, le=10_000)] | _Unset, _field("concurrency")]
Retries = Annotated[int, _field("retries", ge=0, le=100)]
RetryDelay = Annotated[float, _field("retry_delay_seconds", ge=0, le=3600)]
EnvironmentRetries = Annotated[int, _field("environment_retries", ge=0, le=1000)]
ChunkTimeout = Annotated[_Seconds | _Unset, _field("chunk_timeout_seconds")]
StallTimeout = Annotated[_Seconds | _Unset, _field("stall_timeout_seconds")]
JobFolder = Annotated[_Path | _Unset, _field("job_dir")]
OutputFile = Annotated[Annotated[str, Field(title="path or URL")] | _Unset, _field("output_file")]
ImagesTo = Annotated[Annotated[str, Field(title="URL")] | _Unset, _field("images_to")]
Merge = Annotated[bool, _field("merge")]
MergeAdapter = Annotated[_Choice | _Unset, _field("merge_adapter")]
AudioFile = Annotated[_Path | _Unset, _field("audio_file")]
AudioTracks = Annotated[SoundTracks, _field("audio_tracks")]
AudioCodec = Annotated[Annotated[SoundCodec, Field(title="codec")] | _Unset, _field("audio_codec")]
Fragments = Annotated[
    Annotated[Literal["keyframe"], Field(title="at key frames")]
    | Annotated[float, Field(title="seconds", gt=0, le=MAX_SECONDS)]
    | _Unset,
    _field("fragments"),
]
Brand = Annotated[
    Annotated[str, Field(title="four characters", min_length=4, max_length=4)] | _Unset,
    _field("brand"),
]
Metadata = Annotated[Annotated[dict[str, str], Field(title="object")] | _Unset, _field("metadata")]
Chunks = Annotated[Annotated[list[int], Field(title="list of ids")] | _Unset, _field("chunks")]
Fresh = Annotated[bool, _field("fresh")]
Overwrite = Annotated[Annotated[bool, Field(title="yes or no")] | _Unset, _field("overwrite")]
OverdueSeconds = Annotated[_Seconds | _Unset, _field("overdue_seconds")]
WebhookUrl = Annotated[Annotated[str, Field(title="address")] | _Unset, _field("webhook")]
WebhookSecret = Annotated[Annotated[str, Field(title="name")] | _Unset, _field("webhook_secret")]
Verify = Annotated[Annotated[VerifyLevel, Field(title="level")] | _Unset, _field("verify")]
Strict = Annotated[bool, _field("strict")]
Audit = Annotated[float, _field("audit", ge=0, le=1)]
AuditPsnr = Annotated[float, _field("audit_psnr", ge=0)]
AuditSeed = Annotated[Annotated[int, Field(title="number", ge=0)] | _Unset, _field("audit_seed")]
Hedge = Annotated[Annotated[float, Field(title="share", ge=0, le=1)] | _Unset, _field("hedge")]
Budget = Annotated[Annotated[float, Field(title="amount", gt=0)] | _Unset, _field("budget")]
BudgetStop = Annotated[Literal["finish", "stop"], _field("budget_stop")]
Deadline = Annotated[Annotated[str, Field(title="time, or length")] | _Unset, _field("deadline")]
Cache = Annotated[Annotated[str, Field(title="folder or URL")] | _Unset, _field("cache")]
CacheSize = Annotated[str, _field("cache_size")]
LastChunkLength = Annotated[
    Annotated[Literal["shorter", "longer"], Field(title="length")] | _Unset, _field("last_chunk")
]
RevisionText = Annotated[
    Annotated[str, Field(title="text", min_length=1, max_length=MAX_REVISION)] | _Unset,
    _field("revision"),
]
WebhookData = Annotated[Annotated[dict[str, Any], Field(title="object")] | _Unset, _field("webhook_data")]
FailedChunks = Annotated[int, _field("max_failed_chunks", ge=0, le=MAX_CHUNKS)]
HandOvers = Annotated[int, _field("hand_overs", ge=0, le=100)]
Preview = Annotated[bool, _field("preview")]
