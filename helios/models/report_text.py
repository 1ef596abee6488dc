"""What a completed job came to, and lengths of time, in words for people."""

from helios.models.report import ImagesReport, JobReport, ReusedFrom


def describe_report(report: JobReport) -> str:
    """`/tmp/film/video.mp4: 300 frames, 10.000 s, 1948610 bytes (5 of 12 chunks reused)`.

    A job without a video is named by its directory.

    Args:
        report: Of a job that completed.
    """
    reused = sum(chunk.reused for chunk in report.chunks)
    cached = sum(chunk.reused_from is ReusedFrom.CACHE for chunk in report.chunks)
    source = f", {cached} of them from the cache" if cached else ""
    tail = f" ({reused} of {len(report.chunks)} chunks reused{source})" if reused else ""
    if report.inputs is not None and report.inputs.message is not None:
        tail = f" ({report.inputs.message})"
    if report.last_chunk is not None:
        tail += f" ({report.last_chunk})"
    if (video := report.video) is not None:
        tail = f", merged by the job{tail}" if report.merged else tail
        sound = f", {video.audio_codec} sound" if video.audio_codec else ""
        if report.images is not None:
            tail = f"; and {_describe_images(report.images)}{tail}"
        return f"{video.path}: {video.frames} frames, {video.duration_seconds:.3f} s{sound}, {video.bytes} bytes{tail}"
    if report.merged:
        done = f"{len(report.chunks)} chunks rendered, merged by the job"
        return f"{report.job_dir}: {done}; no video was found that its command wrote: not verified{tail}"
    if (images := report.images) is not None:
        return f"{_describe_images(images)}, {images.bytes} bytes{tail}"
    joined = "not joined (--output FILE does)"
    return f"{report.job_dir}: {len(report.chunks)} chunks rendered, {report.frames} frames, {joined}{tail}"


def _describe_images(images: ImagesReport) -> str:
    """`/tmp/film/shot_####.exr: 48 images (frames 1 to 48; EXR, 16-bit float), 20 of them rendered now`."""
    span = f"frames {images.first} to {images.last}" if images.count > 1 else f"frame {images.first}"
    what = f"{images.count} {'images' if images.count > 1 else 'image'} ({span}; {images.format}, {images.depth})"
    fresh = "" if images.rendered == images.count else f", {images.rendered} of them rendered now"
    copy = "" if images.url is None else f", in {images.url.rpartition('/')[0]}, {images.sent} of them sent now"
    return f"{images.path}: {what}{fresh}{copy}"


def duration(seconds: float) -> str:
    """A length of time: `4.2 s`, `3:05 min`, `2:03:05 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
