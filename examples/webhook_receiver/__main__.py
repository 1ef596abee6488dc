"""Receive the webhooks of render jobs, check their signatures, and print a line for each.

    HELIOS_WEBHOOK_SECRET=… python -m examples.webhook_receiver [--port 8600]

It needs nothing but Python, so that it can be copied. It does what every receiver of Standard Webhooks does: check the
signature over the body as it came, refuse messages older than five minutes, and answer with 204. A message comes twice
if its answer was lost on the way; both have the same id.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

LONGEST_BODY = 100_000
"""Bytes of a body; longer bodies are refused."""
OLDEST_SECONDS = 300
PREFIX = "whsec_"


def is_genuine(key: bytes, headers: dict[str, str], body: bytes, *, now: float) -> bool:
    """Whether a request was signed with the key, at most five minutes ago.

    Args:
        key: The secret.
        headers: The request's headers, in lower case.
        body: The request's body, as it came.
        now: Seconds since 1970.
    """
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > OLDEST_SECONDS:
        return False
    signed = f"{headers.get('webhook-id', '')}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # There can be several signatures while a secret is replaced by another.
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(f"v1,{expected}", signature) for signature in given)


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to genuine messages, and 401 to others."""

    key = b""
    seen: set[str] = set()  # noqa: RUF012  of the whole program

    def do_POST(self) -> None:
        """Take one message."""
        length = int(self.headers.get("content-length", "0"))
        if not 0 < length <= LONGEST_BODY:
            return self._answer(413)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_genuine(self.key, headers, body, now=time.time()):
            return self._answer(401)
        if headers["webhook-id"] not in self.seen:
            self.seen.add(headers["webhook-id"])
            event = json.loads(body)
            told = event["data"]
            what = told.get("output") or told["message"].partition("\n")[0]
            print(f"{event['type']}  {told['name']}  {what}  {json.dumps(told['custom'])}", flush=True)
        return self._answer(204)

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no line of the server's own."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="webhook_receiver", description="Print the webhooks of render jobs.")
    parser.add_argument("--port", type=int, default=8600)
    port = parser.parse_args().port
    secret = os.environ.get("HELIOS_WEBHOOK_SECRET", "")
    if not secret:
        sys.exit("Set HELIOS_WEBHOOK_SECRET to what the jobs sign with")
    is_base64 = secret.startswith(PREFIX)
    Receiver.key = base64.b64decode(secret.removeprefix(PREFIX)) if is_base64 else secret.encode()
    with HTTPServer(("127.0.0.1", port), Receiver) as server:
        print(f"Waiting for webhooks on http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("Stopped")


if __name__ == "__main__":
    main()
