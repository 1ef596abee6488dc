"""The Prefect server that is configured: whether it is one, lets this user in, and is of a version that fits.

Each mistake in PREFECT_API_URL and its companions has one message, before anything runs.
"""

import logging
import ssl
from functools import partial

import httpx
import prefect
from prefect.settings import PREFECT_API_KEY, get_current_settings

from farm.errors import ServerStartError
from farm.server.credentials import client_headers
from tasks.prefect_api.tls import tls_for
from tasks.prefect_api.versions import advice, misfit, numbers

ASK_SECONDS = 30.0
EXPECTED = "expected an address that ends in /api, such as http://127.0.0.1:4200/api"
SURROUNDINGS = " \t\r\n'\""
"""What gets into a variable with its value: in files of variables that no shell reads, for example."""
OTHER_SERVER = (
    "start a server of this version there (docs/operations.md, upgrades), or unset PREFECT_API_URL to have one started "
    "for the command"
)
_found_good: set[str] = set()
"""Addresses that were asked in this process, and can be used."""
_LOGGER = logging.getLogger(__name__)


def check_once(url: str) -> None:
    """Do what `check_configured` does, unless this process did it before."""
    if url not in _found_good:
        check_configured(url)


def check_configured(url: str, *, is_farm: bool = False) -> None:
    """Ask the server of an address for its version.

    Args:
        url: The API's address, as in PREFECT_API_URL.
        is_farm: It is the server of a `helios-job up`, which was found without being configured.

    Raises:
        ServerStartError: It does not answer, is no Prefect API or one of another version, or refuses the credential.
    """
    shown = _without_password(url)
    if not url.startswith(("http://", "https://")):
        if (bare := url.strip(SURROUNDINGS)).startswith(("http://", "https://")):
            raise ServerStartError(
                "PREFECT_API_URL has quotes or spaces around its address, which are taken for parts of it; set it to "
                f"{_without_password(bare)}"
            )
        raise ServerStartError(f"PREFECT_API_URL={shown} does not begin with http:// or https://; {EXPECTED}")
    is_cloud = url.startswith(get_current_settings().cloud.api_url)
    if is_cloud and not PREFECT_API_KEY.value():
        raise ServerStartError(
            f"PREFECT_API_URL={shown} is Prefect Cloud, which wants a key; set PREFECT_API_KEY (prefect cloud login)"
        )
    answer = _ask(url, shown)
    _check_refusal(answer, shown)
    if not is_cloud:  # which does not tell its version, and fits every client
        _check_version(answer, url, shown, is_farm=is_farm)
    _found_good.add(url)


def _check_version(answer: httpx.Response, url: str, shown: str, *, is_farm: bool) -> None:
    version = _version_in(answer)
    if version is None:
        raise ServerStartError(
            f"PREFECT_API_URL={shown} is not the address of a Prefect API: it answered {answer.status_code} "
            f"{answer.headers.get('content-type', '')} instead of a version; {_better(url, shown)}"
        )
    if problem := misfit(version, prefect.__version__):
        mend = "stop that farm, and start this version's: helios-job up" if is_farm else OTHER_SERVER
        raise ServerStartError(f"The server at {shown} {problem}; {mend}")
    if hint := advice(version, prefect.__version__):
        _LOGGER.warning("The server at %s %s", shown, hint)


def _ask(url: str, shown: str) -> httpx.Response:
    settings = get_current_settings()
    headers = {**settings.client.custom_headers, **client_headers()}
    with httpx.Client(headers=headers, timeout=ASK_SECONDS, verify=_verification(url)) as client:
        try:
            answer = client.get(f"{url.rstrip('/')}/admin/version")
            if (request := answer.next_request) is not None and request.url.scheme == answer.request.url.scheme:
                answer = client.send(request, follow_redirects=True)  # as Prefect's client does
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise ServerStartError(_unreachable(url, shown, str(exc) or type(exc).__name__)) from None
    if answer.next_request is not None:
        target = _without_password(str(answer.next_request.url)).removesuffix("/admin/version")
        raise ServerStartError(f"PREFECT_API_URL={shown} leads to {target}; set it to that")
    return answer


def _verification(url: str) -> ssl.SSLContext | bool:
    """How the server's certificate is verified: as Prefect's client does."""
    api = get_current_settings().api
    if not url.startswith("https://"):
        return tls_for(url)
    if api.tls_insecure_skip_verify:
        return False
    try:
        return ssl.create_default_context(cafile=api.ssl_cert_file) if api.ssl_cert_file else True
    except OSError as exc:  # of which SSLError is one
        reason = exc.strerror or exc
        raise ServerStartError(
            f"PREFECT_API_SSL_CERT_FILE={api.ssl_cert_file} can't be used ({reason}); expected a file of certificates"
        ) from None


def _unreachable(url: str, shown: str, reason: str) -> str:
    say = partial("Prefect's API at {} does not answer ({}); {}".format, shown, reason)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return say("name the authority that signed its certificate: PREFECT_API_SSL_CERT_FILE")
    if url.startswith("https://") and ("WRONG_VERSION_NUMBER" in reason or "record layer failure" in reason):
        return say(f"it does not speak TLS: PREFECT_API_URL={shown.replace('https://', 'http://', 1)}?")
    return say("start it, or unset PREFECT_API_URL to have one started for the command")


def _check_refusal(answer: httpx.Response, shown: str) -> None:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        sent = answer.request.headers.get("authorization", "").partition(" ")[0]
        if sent == "Bearer":
            raise ServerStartError(f"Prefect's API at {shown} refuses the key of PREFECT_API_KEY; set a valid one")
        problem = "refuses the credential of PREFECT_API_AUTH_STRING" if sent else "wants a credential"
        raise ServerStartError(
            f"Prefect's API at {shown} {problem} (401 Unauthorized); set PREFECT_API_AUTH_STRING to the one with "
            'which it was started; for a farm of helios-job up: eval "$(helios-job env)"'
        )
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise ServerStartError(f"Prefect's API at {shown} answers {answer.status_code}; its log says why")


def _better(url: str, shown: str) -> str:
    path = httpx.URL(url).path.rstrip("/")
    return EXPECTED if path.endswith("/api") else f"did you mean {shown.rstrip('/')}/api?"


def _version_in(answer: httpx.Response) -> str | None:
    """The version that a server answered; None if that is no answer of Prefect's API."""
    try:
        version = answer.json() if answer.status_code == httpx.codes.OK else None
    except ValueError:
        return None
    return version if isinstance(version, str) and numbers(version) else None


def _without_password(url: str) -> str:
    """An address for people; it may have a password in it."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return url
