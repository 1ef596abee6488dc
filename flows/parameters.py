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

Job = Annotated[
    Annotated[str, Field(title="path or URL")] | Annotated[dict[str, Any], Field(title="the document")],
    _titled("Job document"),
]
Adapter = Annotated[_Choice, _titled("Where chunks are rendered")]
Concurrency = Annotated[int | None, _titled("Chunks at a time", ge=1, le=10_000)]
Retries = Annotated[int, _titled("Retries of a chunk", ge=0, le=100)]
RetryDelay = Annotated[float, _titled("Seconds before the first retry", ge=0, le=3600)]
EnvironmentRetries = Annotated[int, _titled("Retries when the environment fails", ge=0, le=1000)]
ChunkTimeout = Annotated[float | None, _titled("Longest time of a chunk, in seconds", gt=0)]
StallTimeout = Annotated[float | None, _titled("Longest silence of a chunk, in seconds", gt=0)]
JobFolder = Annotated[str | None, _titled("Job folder")]
OutputFile = Annotated[str | None, _titled("Video")]
Merge = Annotated[bool, _titled("Join the chunks")]
MergeAdapter = Annotated[_Choice | None, _titled("Where the job's merge command runs")]
AudioFile = Annotated[str | None, _titled("Sound track")]
Chunks = Annotated[list[int] | None, _titled("Only these chunks")]
Fresh = Annotated[bool, _titled("Render everything anew")]
Overwrite = Annotated[bool | None, _titled("Replace a video that is there")]
OverdueSeconds = Annotated[float | None, _titled("Seconds after which the job is overdue", gt=0)]
WebhookUrl = Annotated[str | None, _titled("Webhook")]
WebhookSecret = Annotated[str | None, _titled("Secret block of the webhook")]
WebhookData = Annotated[dict[str, Any] | None, _titled("Data for the webhook")]
