"""The certificates of a farm, made from its secret: no authority, no file to carry around.

The secret is the private key (Ed25519) of the farm's own authority. Whoever has it makes the same authority's
certificate, and a certificate of its own under it. Both sides of every connection show one, so that a peer without the
secret is refused before anything that it sends is read. Dates are fixed: clocks of farm machines are often wrong.
"""

import datetime
import hashlib
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


def farm_security(secret: bytes) -> Any:
    """Dask's security settings (`distributed.security.Security`) of a member of the farm with this secret."""
    from distributed.security import Security

    authority, certificate, key = member_certificates(secret)
    return Security(
        require_encryption=True,
        tls_min_version=ssl.TLSVersion.TLSv1_3,
        tls_ca_file=authority,
        **{f"tls_{role}_{part}": value for role in ("scheduler", "worker", "client")
           for part, value in (("cert", certificate), ("key", key))},
    )  # fmt: skip


def member_certificates(secret: bytes) -> tuple[str, str, str]:
    """The authority's certificate, a new certificate under it, and that one's private key; each as PEM text."""
    authority_key = Ed25519PrivateKey.from_private_bytes(secret)
    authority = _certificate(authority_key.public_key(), signed_by=authority_key, is_authority=True)
    own_key = Ed25519PrivateKey.generate()
    own = _certificate(own_key.public_key(), signed_by=authority_key, is_authority=False)
    private = own_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _pem(authority), _pem(own), private.decode()


def _certificate(key: Ed25519PublicKey, *, signed_by: Ed25519PrivateKey, is_authority: bool) -> x509.Certificate:
    raw = key.public_bytes_raw()
    issuer = _name(signed_by.public_key(), "authority")
    usage = x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer if is_authority else _name(key, "member"))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(int.from_bytes(hashlib.sha256(raw).digest()[:16]) | 1)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key()), critical=False)
    )
    if not is_authority:
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(both, critical=False)
    return builder.sign(signed_by, None)


def _name(key: Ed25519PublicKey, role: str) -> x509.Name:
    mark = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"helios farm {role} {mark}")])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
