"""Addresses in artifact storage: `file://`, `s3://` and `gs://`, compared and joined part by part.

`farm://HOST:PORT` is a folder on the machine of a flow, which gives it out to the nodes of its farm while it runs.
"""

from urllib.parse import quote, unquote, urlsplit

from helios.errors import RequestError

SCHEMES = ("file", "s3", "gs", "farm")


def is_storage_url(text: str) -> bool:
    """Whether a text names a place in artifact storage."""
    return text.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


def split_url(url: str) -> tuple[str, str]:
    """Split a storage URL into its store and the key in it: `("s3://bucket", "folder/file")`.

    Raises:
        RequestError: It is not a storage URL, or its path has `..` or empty parts.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise RequestError(f"{url!r} is not in artifact storage; expected file://, s3:// or gs:// and a path")
    if (parts.scheme == "file") == bool(parts.netloc) or parts.query or parts.fragment:
        shape = "file:///FOLDER" if parts.scheme == "file" else f"{parts.scheme}://BUCKET/PREFIX"
        raise RequestError(f"{url!r} is not a storage URL; expected {shape}")
    key = unquote(parts.path).removeprefix("/").rstrip("/")
    if key and not _stays_in_its_folder(key):
        raise RequestError(
            f"{url!r} is not a storage URL; expected names and single slashes after its store, without '..'"
        )
    return f"{parts.scheme}://{parts.netloc}", key


def check_key(key: str) -> str:
    """Refuse a key that is absolute or would leave its folder.

    Raises:
        RequestError: Says which.
    """
    if not _stays_in_its_folder(key):
        raise RequestError(f"The key {key!r} leaves its folder; expected names and single slashes, without '..'")
    return key


def _stays_in_its_folder(key: str) -> bool:
    return not ("\0" in key or "\\" in key or any(part in {"", ".", ".."} for part in key.split("/")))


def is_within(url: str, folder: str) -> bool:
    """Whether a storage URL lies in a folder: compared part by part, so that `s3://b/job` does not hold `s3://b/jobs`."""
    store, key = split_url(url)
    folder_store, folder_key = split_url(folder)
    return store == folder_store and (not folder_key or f"{key}/".startswith(f"{folder_key}/"))


def join_url(folder: str, *names: str) -> str:
    """Append names to a folder's URL."""
    base = folder if folder.endswith("/") else f"{folder}/"
    return base + "/".join(quote(name) for name in names)


def parent_url(url: str) -> str:
    """The folder of a URL."""
    return url.rsplit("/", 1)[0]
