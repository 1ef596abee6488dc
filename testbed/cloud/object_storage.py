"""S3 and Google Cloud Storage: moto's S3 server, and in front of it the differences of Google's XML API.

Gaps: signatures are not checked (Google's tokens are, if the settings list any), Google's resumable uploads do
not exist (obstore uses multipart uploads as of S3).
"""

import json
import logging
import threading
import time
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from testbed.cloud.http_service import Faults
from testbed.cloud.processes import ready, settings, wait_for_end

S3_SCOPE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
STALL_SECONDS = 20.0
"""For so long an upload stalls that is to: a test kills the sender meanwhile."""


class Storage:
    """The WSGI application.

    Args:
        tokens: Bearer tokens that Google's side accepts; an empty list accepts any token.
    """

    def __init__(self, tokens: list[str]) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._tokens = tokens
        self._faults = Faults()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        """Answer a request."""
        if environ["PATH_INFO"] in {"/faults", "/state"}:
            return [self._control(environ, start)]
        self._faults.count(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        written = environ["PATH_INFO"].rsplit("/", 1)[-1] if environ["REQUEST_METHOD"] == "PUT" else ""
        if written.startswith("output") and self._faults.take("cut-upload"):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            raise ConnectionError("cut in the middle of an upload")
        if written.endswith(".png") and self._faults.take("stall-image"):
            time.sleep(STALL_SECONDS)
            raise ConnectionError("an upload that has stalled")
        if written == "result.json" and self._faults.take("lose-put-answer"):
            self._moto(environ, lambda *_: None)
            start("500 Internal Server Error", [])
            return [b"<Error><Code>InternalError</Code></Error>"]
        return self._serve(environ, start)

    def _control(self, environ: dict[str, Any], start: Any) -> bytes:
        """Answer a request for the controls, which the other stand-ins have, too."""
        if environ["REQUEST_METHOD"] == "POST":
            wanted = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self._faults.want(wanted["kind"], wanted["times"])
        start("200 OK", [("Content-Type", "application/json")])
        return json.dumps({"fired": self._faults.fired, "seen": self._faults.seen}).encode()

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if not authorization.startswith("Bearer"):
            return self._moto(environ, start)
        if self._tokens and authorization.removeprefix("Bearer ") not in self._tokens:
            start("401 Unauthorized", [("Content-Type", "text/xml")])
            return [b"<Error><Code>AuthenticationRequired</Code></Error>"]
        # moto finds its S3 by the scope of an Amazon signature.
        environ["HTTP_AUTHORIZATION"] = S3_SCOPE
        if environ.pop("HTTP_X_GOOG_IF_GENERATION_MATCH", None) == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        for name in [name for name in environ if name.startswith("HTTP_X_GOOG_META_")]:
            environ["HTTP_X_AMZ_META_" + name.removeprefix("HTTP_X_GOOG_META_")] = environ.pop(name)
        return self._moto(
            environ, lambda status, headers, *rest: start(status, [*headers, ("x-goog-generation", "1")], *rest)
        )


def main() -> None:
    """Serve until the caller ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    wanted = settings()
    server = make_server("127.0.0.1", 0, Storage(wanted.get("tokens", [])), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready(url=f"http://127.0.0.1:{server.server_port}")
    wait_for_end()


if __name__ == "__main__":
    main()
