"""A stand-in for Helios's own worker on Lambda: it renders nothing and answers in Helios's shape."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer `jobPath` and `chunkIndex` with a fixed result; with an empty path, fail as Helios does."""
    if not event["jobPath"]:
        return {"statusCode": 500, "body": json.dumps({"message": "Error rendering chunk", "error": "no job"})}
    body = {"message": "Chunk rendered", "exitCode": 3, "output": "frame 1\nframe 2", "stderr": "boom", "durationMs": 7}
    return {"statusCode": 200, "body": json.dumps(body)}
