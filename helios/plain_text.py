r"""Text of others for terminals and logs: nothing in it moves a cursor, changes a title or turns letters around.

What commands print, the names in job documents, and what anybody wrote into Prefect may hold control characters, which
a terminal carries out.
"""

import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor (ECMA-48, 5.4)
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC, up to their end: titles, links
    r"|\x1b[ -/]*[0-Z\\^-~]"  # the other escape sequences
)
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that change the direction of what follows
    "\ud800-\udfff]"  # bytes of names that are not UTF-8: a strict stream refuses them
)


def visible(text: str) -> str:
    r"""A text in which each control character stands as `\u001b`, which JSON reads as the character itself.

    Line feeds and tabs stay.
    """
    return _UNSAFE.sub(_escaped, text) if _UNSAFE.search(text) else text


def plain(text: str) -> str:
    """A text without the sequences by which programs colour what they print; what is left of controls is `visible`."""
    return visible(_SEQUENCE.sub("", text)) if _UNSAFE.search(text) else text


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
