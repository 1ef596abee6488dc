"""Carry out how a video is delivered: what goes to FFmpeg's muxer, what its container can't do, what became of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from helios.errors import RequestError
from helios.media.boxes import outer_boxes
from helios.media.carried import OF_ONE_FILE, SILENT, Said, Track
from helios.media.containers import CONTAINERS, container_of
from helios.media.places import INDEX_IN_FRONT, Places
from helios.media.stream_facts import COLOR_PROFILE, UNOFFICIAL
from helios.models.delivery import CREATION_TIME, KEYFRAME, LANGUAGE, NO_DELIVERY, Delivery

BOXED = {"mp4", "mov"}
"""Containers of boxes: they alone have fragments and brands."""
FRAGMENTED = "frag_keyframe+empty_moov+delay_moov+default_base_moof"
"""The index stands in front as well, but is written when the first fragment is whole (delay_moov): only then is it
known by how much showing runs behind decoding, and how much of the sound's begin is the encoder's."""
SECOND = len("2026-11-26T12:00:00")


def muxer_options(delivery: Delivery, container: str, *, has_color_profile: bool = False) -> dict[str, str]:
    """Options of FFmpeg's muxer.

    Args:
        delivery: What is wanted.
        container: FFmpeg's name of the format.
        has_color_profile: Whether there is an ICC profile to write.
    """
    options = dict(UNOFFICIAL)
    if container not in BOXED:
        return options
    options["movflags"] = INDEX_IN_FRONT if delivery.fragments is None else FRAGMENTED
    if has_color_profile:
        options["movflags"] += f"+{COLOR_PROFILE}"
    if delivery.fragments not in (None, KEYFRAME):
        options["min_frag_duration"] = str(round(float(delivery.fragments) * 1_000_000))
    if delivery.brand is not None:
        options["brand"] = delivery.brand
    return options


def say(said: Said, delivery: Delivery) -> Said:
    """What a video is to say: what its first chunk says, but for what is ordered."""
    tags = {key: value for key, value in said.tags.items() if key.lower() not in delivery.metadata}
    tags |= {key: value for key, value in delivery.metadata.items() if value and key not in (LANGUAGE, CREATION_TIME)}
    return replace(
        said,
        tags=tags,
        created=delivery.metadata.get(CREATION_TIME, ""),
        brand=delivery.brand or "",
        video=speaking(said.video, delivery) or said.video,
        audio=speaking(said.audio, delivery),
    )


def speaking(track: Track | None, delivery: Delivery) -> Track | None:
    """A track in the language that is ordered, if one is."""
    language = delivery.metadata.get(LANGUAGE)
    return track if track is None or language is None else replace(track, language=language)


def check_delivery(output: Path, delivery: Delivery) -> None:
    """Refuse what the output's container can't do: one frame is written into memory, and what it says is read back.

    Args:
        output: Its name alone counts.
        delivery: What is wanted.

    Raises:
        RequestError: Says what can't be done, and where it can.
    """
    container, _ = container_of(output)
    boxed = ", ".join(suffix for suffix, (name, _) in CONTAINERS.items() if name in BOXED)
    if container not in BOXED:
        for what, value, option in (
            ("fragments", delivery.fragments, "--fragments"),
            ("brand", delivery.brand, "--brand"),
        ):
            if value is not None:
                raise RequestError(f"{output.name}: {container} has no {what} ({option}); use one of {boxed}")
    if own := sorted((OF_ONE_FILE - {"title", LANGUAGE, CREATION_TIME}) & delivery.metadata.keys()):
        raise RequestError(
            f"The metadata {own[0]} (--metadata) describe how a file was written, and can't be chosen; leave them out"
        )
    if delivery != NO_DELIVERY and (lost := list(_unkept(delivery, _tried(container, delivery)))):
        raise RequestError(
            f"{output.name}: {container} has no place for the metadata {', '.join(lost)} (--metadata); "
            f"{'leave them out' if container == 'matroska' else 'a .mkv has, for text of any name'}"
        )


def check_delivered(path: Path, found: Said, delivery: Delivery, *, output: Path) -> None:
    """Make sure that a finished file is what was ordered, and begins with its index.

    Args:
        path: The file.
        found: What it says.
        delivery: What was ordered.
        output: The name that it will have.

    Raises:
        RequestError: It is not.
    """
    wrong = [f"metadata {what}" for what in _unkept(delivery, found)]
    if delivery.brand is not None and found.brand != delivery.brand:
        wrong.append(f"brand {delivery.brand} (found: {found.brand or 'none'})")
    if container_of(output)[0] in BOXED:
        # What follows the index is not looked at: a long video has many fragments.
        boxes = outer_boxes(path)
        begin = next((kind for kind in boxes if kind in {"moov", "moof", "mdat"}), "")
        follows = next((kind for kind in boxes if kind in {"moof", "mdat"}), "")
        if begin != "moov":
            wrong.append(f"the index in front (found: {begin or 'none'})")
        if (follows == "moof") is (delivery.fragments is None):
            wrong.append(f"{'no ' if delivery.fragments is None else ''}fragments (found: {follows or 'nothing'})")
    if wrong:
        raise RequestError(
            f"{output.name} does not have what was ordered: {', '.join(wrong)}; leave that out, or write another kind "
            "of file (--output NAME.mkv)"
        )


def _unkept(delivery: Delivery, found: Said) -> Iterator[str]:
    """Metadata that were ordered, and that a file does not say."""
    tags = {key.lower(): value for key, value in found.tags.items()}
    for key, value in delivery.metadata.items():
        if key == LANGUAGE:
            # Some containers have another code for the same language: ger for deu.
            its, is_kept = found.video.language, found.video.language != "und" or value == "und"
        elif key == CREATION_TIME:
            its, is_kept = found.created, found.created[:SECOND] == value[:SECOND]
        else:
            its, is_kept = tags.get(key, ""), tags.get(key, "") == value
        if not is_kept:
            yield f"{key} {value!r}{f' (it would be {its!r})' if its else ''}"


def _tried(container: str, delivery: Delivery) -> Said:
    """What a file of one frame says that was written with these settings."""
    return Places(container, muxer_options(delivery, container)).said(
        tags={key: value for key, value in delivery.metadata.items() if value and key != LANGUAGE},
        video=replace(SILENT, language=delivery.metadata[LANGUAGE]) if LANGUAGE in delivery.metadata else None,
    )
