"""The parameters of a render job, each described once: for the form in Prefect's UI, the options' help, and the README.

Imports no Prefect: the command line reads it at its start.
"""

from tasks.request.parameter import Parameter

_ALL = (
    Parameter("job", "Job document", "Path or URL of a job document, or the document itself."),
    Parameter(
        "adapter",
        "Where chunks are rendered",
        "An adapter's name, its configuration, or a saved configuration (aws-lambda/BLOCK); or a list of them, each "
        "with a bound and a price if wanted: a chunk goes where it is expected to finish first.",
        option="--adapter",
    ),
    Parameter(
        "concurrency",
        "Chunks at a time",
        "Chunks rendered at a time.",
        empty="as many as this machine has CPUs; 10 on workers elsewhere",
        option="--concurrency",
    ),
    Parameter("retries", "Retries of a chunk", "Retries of a chunk whose command failed.", option="--retries"),
    Parameter(
        "retry_delay_seconds",
        "Seconds before the first retry",
        "Seconds before the first retry; each further pause is twice as long.",
        option="--retry-delay",
    ),
    Parameter(
        "environment_retries",
        "Retries when the environment fails",
        "How often a chunk is tried again because its worker, network or disk failed, not its command.",
        option="--environment-retries",
    ),
    Parameter(
        "max_failed_chunks",
        "Chunks that may fail",
        "How many chunks may fail for good before the job stops. With fewer failures all others are rendered; then the "
        "job fails, says which frames are missing, and joins nothing.",
        option="--max-failed-chunks",
    ),
    Parameter(
        "chunk_timeout_seconds",
        "Longest time of a chunk, in seconds",
        "A chunk's command is stopped when it runs longer than this many seconds.",
        empty="no limit",
        option="--timeout",
    ),
    Parameter(
        "stall_timeout_seconds",
        "Longest silence of a chunk, in seconds",
        "A chunk's command is stopped after this many seconds without output and without growth of its output file.",
        empty="no limit",
        option="--stall-timeout",
    ),
    Parameter(
        "job_dir",
        "Job folder",
        "The folder in which commands run and outputs lie. If it lies above the document's folder, the document's "
        "paths may lead up to it.",
        empty="the job document's folder",
        option="--job-dir",
    ),
    Parameter(
        "output_file",
        "Video",
        "The stitched video (mp4, mov, mkv, webm, gif, webp): a path, or an s3:// or gs:// URL. {date}, {time}, "
        "{year}, {month}, {day} and {weekday} in it are those for which the run was planned.",
        empty="as the job document says",
        option="--output",
    ),
    Parameter(
        "images_to",
        "Where images go",
        "A folder in storage (s3://, gs:// or file://) that the images of the sequence are sent to, each once its "
        "chunk is accepted. They stay in the job directory, too.",
        empty="nowhere else",
        option="--images-to",
    ),
    Parameter("merge", "Join the chunks", "Whether to join the chunks.", option="--no-merge"),
    Parameter(
        "merge_adapter",
        "Where the job's merge command runs",
        "The adapter that runs the job's own merge command.",
        empty="where the chunks are rendered",
        option="--merge-adapter",
    ),
    Parameter(
        "audio_file",
        "Sound track",
        "The stitched video's sound track.",
        empty="the chunks' own sound",
        option="--audio",
    ),
    Parameter(
        "audio_tracks",
        "Tracks of the sound file",
        "Which tracks of the sound file the video gets: first, or all of them.",
        option="--audio-tracks",
    ),
    Parameter(
        "audio_codec",
        "How the sound is written",
        "How the video's sound is written: aac, opus, flac, or pcm (as deep as its source); or copy, which takes the "
        "packets of the sound file as they are.",
        empty="opus in webm, else aac",
        option="--audio-codec",
    ),
    Parameter(
        "fragments",
        "Fragments",
        "Makes a fragmented MP4 or MOV, for streaming: keyframe (a fragment for each key frame), or a number of "
        "seconds (each fragment has at least so many, and begins with a key frame).",
        empty="as the job document says, else one piece with its index in front",
        option="--fragments",
    ),
    Parameter(
        "brand",
        "Major brand",
        "The major brand of the stitched MP4 or MOV, such as mp42, iso6 or dash.",
        empty="as the job document says, else the container's usual one",
        option="--brand",
    ),
    Parameter(
        "metadata",
        "Metadata of the video",
        "What the stitched video says about itself, by key: title, comment, artist, copyright, language (three "
        "letters), creation_time, …; an empty value leaves out what the chunks say.",
        empty="as the job document says, and what the first chunk says",
        option="--metadata",
    ),
    Parameter(
        "chunks",
        "Only these chunks",
        "Ids of the chunks to render; nothing is joined then.",
        empty="all chunks",
        option="--chunk",
    ),
    Parameter(
        "fresh",
        "Render everything anew",
        "Render chunks again that earlier runs of the job accepted.",
        option="--fresh",
    ),
    Parameter(
        "overwrite",
        "Replace a video that is there",
        "Whether a video that is there already may be replaced.",
        empty="yes, but not by a run that a schedule started; a file that no job wrote is moved aside",
        option="--overwrite",
    ),
    Parameter(
        "overdue_seconds",
        "Seconds after which the job is overdue",
        "A job that takes longer than this many seconds says so, and goes on.",
        empty="never",
        option="--overdue",
    ),
    Parameter(
        "webhook",
        "Webhook",
        "URL that gets a signed request when the job ends, and when it is overdue.",
        empty="nothing is sent",
        option="--webhook",
    ),
    Parameter(
        "webhook_secret",
        "Secret block of the webhook",
        "Name of the Secret block that signs the webhook.",
        empty="the variable HELIOS_WEBHOOK_SECRET of the worker",
        option="--webhook-secret",
    ),
    Parameter(
        "webhook_data",
        "Data for the webhook",
        "An object that is sent along with the webhook, at most 4 KiB.",
        empty="nothing",
        option="--webhook-data",
    ),
    Parameter(
        "verify",
        "How outputs are verified",
        "How thoroughly each chunk's output is verified: container (packets alone), decode (every frame and the "
        "sound), or pictures (also how the chunks' pictures follow each other).",
        empty="as the job document says, else decode",
        option="--verify",
    ),
    Parameter(
        "strict",
        "Warnings are failures",
        "A job with suspicious pictures, or with a warning about its video, fails.",
        option="--strict",
    ),
    Parameter(
        "audit",
        "Share of chunks to audit",
        "The share of the chunks, 0 to 1, that are rendered a second time and compared; above 0 at least one. A job "
        "whose renders differ fails before its chunks are joined.",
        option="--audit",
    ),
    Parameter(
        "audit_psnr",
        "Lowest PSNR in the audit, in dB",
        "The PSNR in dB that every frame of an audited chunk must reach. Lossless codecs have to be exact.",
        option="--audit-psnr",
    ),
    Parameter(
        "audit_seed",
        "Seed of the audit",
        "A number that decides which chunks are audited: the same one draws the same chunks of a job.",
        empty="another one for each run",
        option="--audit-seed",
    ),
    Parameter(
        "hedge",
        "Share for second attempts",
        "What second attempts of chunks that take too long may cost together, as a share of the time of all others, 0 "
        "to 1; above 0 one in any case. They start when a slot is free and no chunk waits; the output that is verified "
        "first is taken. 0: none.",
        empty="as the job document says, else 0.05 on workers elsewhere, and 0 on this machine",
        option="--hedge",
    ),
    Parameter(
        "budget",
        "Budget",
        "What the job's workers may cost, in the currency of the prices (docs/money.md). At nine tenths second "
        "attempts and audits stop, at the whole nothing starts, and the run is paused; a resume with a larger budget "
        "goes on.",
        empty="any amount",
        option="--budget",
    ),
    Parameter(
        "budget_stop",
        "Chunks in flight when the budget is spent",
        "What becomes of chunks in flight when the budget is spent: finish, or stop.",
        option="--budget-stop",
    ),
    Parameter(
        "deadline",
        "Deadline",
        "By when the chunks are to be rendered: a time such as 2026-12-01T18:00, or a length such as 2h from the run's "
        "begin. As few chunks run at a time as meet it, up to `concurrency`; that it can't be met is said as soon "
        "as it is known.",
        empty="none",
        option="--deadline",
    ),
    Parameter(
        "cache",
        "Cache of outputs",
        "A folder, or an s3:// or gs:// URL, in which jobs share the outputs of their chunks: what another job has "
        "rendered from the same command, frames and inputs is copied from there, and what is rendered is put there.",
        empty="none",
        option="--cache",
    ),
    Parameter(
        "cache_size",
        "Size of the cache",
        "The most that the cache holds, such as 50 GB or 500 MiB; the outputs that were used longest ago leave first.",
        option="--cache-size",
    ),
    Parameter(
        "last_chunk",
        "Length of the last chunk",
        "How the last chunk may differ from the plan, where a source's number of frames is not exactly known: shorter "
        "or longer. The report says by how much. For workers on this machine.",
        empty="not at all",
        option="--last-chunk",
    ),
    Parameter(
        "revision",
        "Revision of the inputs",
        "Any text that stands for a version of what the frames are rendered from, beside the job's input files; with "
        "another one, chunks that earlier runs of the job accepted are rendered again.",
        empty="as the job document says, else none",
        option="--revision",
    ),
    Parameter(
        "hand_overs",
        "Hand-overs to another worker",
        "How often a deployment's run whose worker or process died is given to another worker, which goes on from the "
        "accepted chunks. 0: never.",
        option="--hand-overs",
    ),
    Parameter(
        "preview",
        "Watch while it renders",
        "Whether the video can be watched while it is rendered: each chunk's packets are copied into a playlist below "
        "the job directory, which takes as much room as the video.",
        option="--preview",
    ),
)
PARAMETERS = {parameter.name: parameter for parameter in _ALL}
"""By name, in the order of the form."""
