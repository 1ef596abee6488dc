"""The flow's parameters as the form of Prefect's UI shows them: each with a title and its bounds.

Their descriptions are the flow's docstring. Prefect gives each parameter its name as title; what stands in
`json_schema_extra` comes after that, and wins.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from adapters import AdapterConfig


def _titled(title: str, **bounds: Any) -> Any:
    return Field(json_schema_extra={"title": title}, **bounds)


# What there is to choose between is a tab, with a title of its own.
_Name = Annotated[Literal["local", "aws-lambda", "cloud-run", "cloud-run-job"], Field(title="by name")]
_Saved = Annotated[str, Field(title="saved")]
_Settings = Annotated[dict[str, Any], Field(title="as JSON")]
_Choice = _Name | _Saved | AdapterConfig | _Settings

_Unset = Annotated[None, Field(title="not set")]
_Seconds = Annotated[float, Field(title="seconds", gt=0)]
_Path = Annotated[str, Field(title="path")]

Job = Annotated[
    Annotated[str, Field(title="path or URL")] | Annotated[dict[str, Any], Field(title="the document")],
    _titled("Job document"),
]
Adapter = Annotated[_Choice, _titled("Where chunks are rendered")]
Concurrency = Annotated[Annotated[int, Field(title="number", ge=1, le=10_000)] | _Unset, _titled("Chunks at a time")]
Retries = Annotated[int, _titled("Retries of a chunk", ge=0, le=100)]
RetryDelay = Annotated[float, _titled("Seconds before the first retry", ge=0, le=3600)]
EnvironmentRetries = Annotated[int, _titled("Retries when the environment fails", ge=0, le=1000)]
ChunkTimeout = Annotated[_Seconds | _Unset, _titled("Longest time of a chunk, in seconds")]
StallTimeout = Annotated[_Seconds | _Unset, _titled("Longest silence of a chunk, in seconds")]
JobFolder = Annotated[_Path | _Unset, _titled("Job folder")]
OutputFile = Annotated[Annotated[str, Field(title="path or URL")] | _Unset, _titled("Video")]
Merge = Annotated[bool, _titled("Join the chunks")]
MergeAdapter = Annotated[_Choice | _Unset, _titled("Where the job's merge command runs")]
AudioFile = Annotated[_Path | _Unset, _titled("Sound track")]
Chunks = Annotated[Annotated[list[int], Field(title="list of ids")] | _Unset, _titled("Only these chunks")]
Fresh = Annotated[bool, _titled("Render everything anew")]
Overwrite = Annotated[Annotated[bool, Field(title="yes or no")] | _Unset, _titled("Replace a video that is there")]
OverdueSeconds = Annotated[_Seconds | _Unset, _titled("Seconds after which the job is overdue")]
WebhookUrl = Annotated[Annotated[str, Field(title="address")] | _Unset, _titled("Webhook")]
WebhookSecret = Annotated[Annotated[str, Field(title="name")] | _Unset, _titled("Secret block of the webhook")]
WebhookData = Annotated[Annotated[dict[str, Any], Field(title="object")] | _Unset, _titled("Data for the webhook")]
