"""Requests that a Prefect server on this machine does not take, and the link by which a browser gets in.

Prefect checks the credential of a request to its API. A browser sends requests for every page that is open in it, so
this middleware refuses, before Prefect sees it, a request

- to another host name than this machine's own (a foreign name can be made to point here: DNS rebinding);
- of a page of another origin, even of a page that could not read the answer.

A browser gets the credential by a link that works once: LINK_PATH with a token. The page behind it exchanges the token
for the credential, stores that where Prefect's UI looks for it, and goes on to the UI.
See docs/decisions/own-credential.md.
"""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farm.server import credentials as server_credentials
from farm.server.credentials import basic, own_hosts, own_origins, proof

POLICY_VIOLATION = 1008
"""https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1"""

_PAGE = Path(__file__).with_name("open_link.html").read_text(encoding="utf-8")
_SCRIPT = _PAGE.partition("<script>")[2].partition("</script>")[0]
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_SECRET = {"Cache-Control": "no-store"}


class LoopbackMiddleware:
    """Refuses foreign requests, and answers those for links; hands all others on to Prefect.

    Args:
        app: Prefect's server.
        port: Where it listens on 127.0.0.1.
        auth: Prefect's auth string, `user:password`.
    """

    def __init__(self, app: ASGIApp, *, port: int, auth: str) -> None:
        self._app = app
        self._hosts = own_hosts(port)
        self._origins = own_origins(port)
        self._auth = auth
        self._token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, answer, or hand on to Prefect."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
        elif refusal := self._refusal(Headers(scope=scope)):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            else:
                await refusal(scope, receive, send)
        elif scope["type"] == "http" and (response := self._own_response(Request(scope))):
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, _unframed(send))

    def _refusal(self, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse(
                f"Use this server as {self._hosts[0]}, not as {', '.join(hosts) or 'no host'}.\n", 400
            )
        if any(origin not in self._origins for origin in headers.getlist("origin")):
            return PlainTextResponse("Pages of other origins may not use this server.\n", 403)
        return None

    def _own_response(self, request: Request) -> Response | None:
        match request.method, request.scope["path"]:
            case "GET", server_credentials.LINK_PATH:
                return HTMLResponse(_PAGE, headers=_PAGE_HEADERS)
            case "POST", server_credentials.LINK_PATH:
                return self._exchange(request)
            case "POST", server_credentials.NEW_LINK_PATH:
                return self._new_token(request)
            case "GET", server_credentials.PROOF_PATH:
                return PlainTextResponse(proof(self._auth, request.query_params.get("nonce", "")))
        return None

    def _exchange(self, request: Request) -> Response:
        if self._token is None or not _is_sent(request, f"Bearer {self._token}"):
            return PlainTextResponse("This link does not work any more.\n", 410)
        self._token = None
        return PlainTextResponse(basic(self._auth), headers=_SECRET)

    def _new_token(self, request: Request) -> Response:
        if not _is_sent(request, f"Basic {basic(self._auth)}"):
            return PlainTextResponse("Unauthorized\n", 401)
        self._token = secrets.token_urlsafe(32)
        return PlainTextResponse(self._token, headers=_SECRET)


def _is_sent(request: Request, authorization: str) -> bool:
    return hmac.compare_digest(request.headers.get("authorization", "").encode(), authorization.encode())


def _unframed(send: Send) -> Send:
    """Forbid pages of other origins to show the UI in a frame, where a person would press its buttons unknowingly."""

    async def send_unframed(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("Content-Security-Policy", "frame-ancestors 'self'")
        await send(message)

    return send_unframed
