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
from helios.models.spec import MAX_REVISION
from helios.models.verification import VerifyLevel
from tasks.request.as_deployed import is_empty
from tasks.request.parameters import form_field
from tasks.request.request import RenderRequest

_DEFAULTS = {field.name: field.default for field in fields(RenderRequest)} | {"job": ""}
"""What stands for a field that nobody filled in. A job that the deployment does not name either is refused."""


def _field(name: str, **bounds: Any) -> Any:
    return Field(json_schema_extra=form_field(name), **bounds)


def _filled(name: str) -> Any:
    """Take null and the empty text for the parameter's default. The form's schema stays as it is."""
    return BeforeValidator(lambda value: _DEFAULTS[name] if is_empty(value) else value)


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
    _filled("job"),
]
Adapter = Annotated[_Choice, _field("adapter"), _filled("adapter")]
Concurrency = Annotated[
    Annotated[int, Field(title="number", ge=1, le=10_000)] | _Unset, _field("concurrency"), _filled("concurrency")
]
Retries = Annotated[int, _field("retries", ge=0, le=100), _filled("retries")]
RetryDelay = Annotated[float, _field("retry_delay_seconds", ge=0, le=3600), _filled("retry_delay_seconds")]
EnvironmentRetries = Annotated[int, _field("environment_retries", ge=0, le=1000), _filled("environment_retries")]
ChunkTimeout = Annotated[_Seconds | _Unset, _field("chunk_timeout_seconds"), _filled("chunk_timeout_seconds")]
StallTimeout = Annotated[_Seconds | _Unset, _field("stall_timeout_seconds"), _filled("stall_timeout_seconds")]
JobFolder = Annotated[_Path | _Unset, _field("job_dir"), _filled("job_dir")]
OutputFile = Annotated[
    Annotated[str, Field(title="path or URL")] | _Unset, _field("output_file"), _filled("output_file")
]
Merge = Annotated[bool, _field("merge"), _filled("merge")]
MergeAdapter = Annotated[_Choice | _Unset, _field("merge_adapter"), _filled("merge_adapter")]
AudioFile = Annotated[_Path | _Unset, _field("audio_file"), _filled("audio_file")]
AudioTracks = Annotated[SoundTracks, _field("audio_tracks"), _filled("audio_tracks")]
AudioCodec = Annotated[
    Annotated[SoundCodec, Field(title="codec")] | _Unset, _field("audio_codec"), _filled("audio_codec")
]
Fragments = Annotated[
    Annotated[Literal["keyframe"], Field(title="at key frames")]
    | Annotated[float, Field(title="seconds", gt=0, le=MAX_SECONDS)]
    | _Unset,
    _field("fragments"),
    _filled("fragments"),
]
Brand = Annotated[
    Annotated[str, Field(title="four characters", min_length=4, max_length=4)] | _Unset,
    _field("brand"),
    _filled("brand"),
]
Metadata = Annotated[Annotated[dict[str, str], Field(title="object")] | _Unset, _field("metadata"), _filled("metadata")]
Chunks = Annotated[Annotated[list[int], Field(title="list of ids")] | _Unset, _field("chunks"), _filled("chunks")]
Fresh = Annotated[bool, _field("fresh"), _filled("fresh")]
Overwrite = Annotated[Annotated[bool, Field(title="yes or no")] | _Unset, _field("overwrite"), _filled("overwrite")]
OverdueSeconds = Annotated[_Seconds | _Unset, _field("overdue_seconds"), _filled("overdue_seconds")]
WebhookUrl = Annotated[Annotated[str, Field(title="address")] | _Unset, _field("webhook"), _filled("webhook")]
WebhookSecret = Annotated[
    Annotated[str, Field(title="name")] | _Unset, _field("webhook_secret"), _filled("webhook_secret")
]
Verify = Annotated[Annotated[VerifyLevel, Field(title="level")] | _Unset, _field("verify"), _filled("verify")]
Strict = Annotated[bool, _field("strict"), _filled("strict")]
Audit = Annotated[float, _field("audit", ge=0, le=1), _filled("audit")]
AuditPsnr = Annotated[float, _field("audit_psnr", ge=0), _filled("audit_psnr")]
AuditSeed = Annotated[Annotated[int, Field(title="number", ge=0)] | _Unset, _field("audit_seed"), _filled("audit_seed")]
Cache = Annotated[Annotated[str, Field(title="folder or URL")] | _Unset, _field("cache"), _filled("cache")]
CacheSize = Annotated[str, _field("cache_size"), _filled("cache_size")]
LastChunkLength = Annotated[
    Annotated[Literal["shorter", "longer"], Field(title="length")] | _Unset, _field("last_chunk"), _filled("last_chunk")
]
RevisionText = Annotated[
    Annotated[str, Field(title="text", min_length=1, max_length=MAX_REVISION)] | _Unset,
    _field("revision"),
    _filled("revision"),
]
WebhookData = Annotated[
    Annotated[dict[str, Any], Field(title="object")] | _Unset, _field("webhook_data"), _filled("webhook_data")
]
HandOvers = Annotated[int, _field("hand_overs", ge=0, le=100), _filled("hand_overs")]
