"""Google's metadata server, token endpoint and certificates, so that google-auth runs unmodified.

Callers find it by GCE_METADATA_HOST, GCE_METADATA_ROOT and GCE_METADATA_IP. Gaps: one service account, no mTLS.
"""

import datetime
import json
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt

from testbed.cloud.http_service import Faults, serve
from testbed.cloud.processes import settings
from testbed.http_server import Answer

EMAIL, PROJECT, KEY_ID = "orchestrator@p.iam.gserviceaccount.com", "p", "k1"
ACCESS_TOKEN = "an-access-token"
ACCOUNTS = "/computeMetadata/v1/instance/service-accounts"


class Identity:
    """Signs tokens.

    Args:
        lifetime_seconds: Lifetime of the tokens.
    """

    def __init__(self, lifetime_seconds: int) -> None:
        self.faults = Faults()
        self._lifetime = lifetime_seconds
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.private_key = private.decode()
        self._signer = crypt.RSASigner.from_string(self.private_key, KEY_ID)  # type: ignore[no-untyped-call]

    def id_token(self, audience: str) -> str:
        """Sign an identity token of the service account for an audience."""
        now = int(time.time())
        claims = {"iss": "https://accounts.google.com", "aud": audience, "email": EMAIL, "email_verified": True,
                  "sub": "1", "iat": now, "exp": now + self._lifetime}  # fmt: skip
        token: bytes = jwt.encode(self._signer, claims)  # type: ignore[no-untyped-call]
        return token.decode()

    def respond(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a call."""
        parts = urllib.parse.urlsplit(path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        place = parts.path.rstrip("/")
        if place == "/token" and method == "POST":
            return self._exchange(body)
        if place.startswith("/computeMetadata") and headers.get("metadata-flavor") != "Google":
            return _answer(403, "Missing Metadata-Flavor:Google header.")
        match place.removeprefix(ACCOUNTS):
            case "/certs":
                return _answer(200, {KEY_ID: self.certificate})
            case "/default" | "/default/" | "/orchestrator@p.iam.gserviceaccount.com":
                return _answer(200, {"aliases": ["default"], "email": EMAIL, "scopes": ["cloud-platform"]})
            case text if text.endswith("/email"):
                return _answer(200, EMAIL)
            case text if text.endswith("/token"):
                self.faults.count("access-token")
                return _answer(
                    200, {"access_token": ACCESS_TOKEN, "expires_in": self._lifetime, "token_type": "Bearer"}
                )
            case text if text.endswith("/identity"):
                self.faults.count("id-token")
                return _answer(200, self.id_token(query["audience"]))
            case "":
                return _answer(200, "computeMetadata/")
            case "/computeMetadata/v1/project/project-id":
                return _answer(200, PROJECT)
            case text if "universe" in text:
                return _answer(200, "googleapis.com")
        return _answer(404, "not found")

    def _exchange(self, body: bytes) -> Answer:
        """Exchange an assertion that a service account has signed for a token."""
        assertion = dict(urllib.parse.parse_qsl(body.decode()))["assertion"]
        try:
            claims = jwt.decode(assertion, certs={KEY_ID: self.certificate}, verify=True)  # type: ignore[no-untyped-call]
        except ValueError as exc:
            return _answer(400, {"error": "invalid_grant", "error_description": str(exc)})
        if "target_audience" in claims:
            return _answer(200, {"id_token": self.id_token(claims["target_audience"])})
        return _answer(200, {"access_token": ACCESS_TOKEN, "expires_in": self._lifetime, "token_type": "Bearer"})


def _answer(status: int, content: object) -> Answer:
    kind = "text/plain" if isinstance(content, str) else "application/json"
    text = content if isinstance(content, str) else json.dumps(content)
    return status, {"metadata-flavor": "Google", "content-type": kind}, text.encode()


def main() -> None:
    """Serve until the caller ends."""
    identity = Identity(settings().get("lifetime_seconds", 3600))
    serve(identity.respond, identity.faults, certificate=identity.certificate, private_key=identity.private_key)


if __name__ == "__main__":
    main()
