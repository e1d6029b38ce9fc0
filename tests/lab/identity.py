"""Certificates of the lab's development CA, and bad ones: for tests that speak to a proxy's tunnel port themselves."""

from __future__ import annotations

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def load_ca(folder: pathlib.Path):
    certificate = x509.load_pem_x509_certificate((folder / "root-cert.pem").read_bytes())
    key = serialization.load_pem_private_key((folder / "root-key.pem").read_bytes(), None)
    return certificate, key


def new_ca(name: str = "another root"):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
    return certificate, key


def issue(ca, uris: list[str], *, days_from: float = -1, days_to: float = 1, usages=None, weak: bool = False):
    """A leaf: (certificate, key)."""
    authority, authority_key = ca
    key = rsa.generate_private_key(65537, 1024) if weak else ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=days_from))
               .not_valid_after(now + datetime.timedelta(days=days_to)))
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), True)
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), False)
    return builder.sign(authority_key, hashes.SHA256()), key


SERVER_ONLY = [ExtendedKeyUsageOID.SERVER_AUTH]


def write(folder: pathlib.Path, name: str, leaf) -> tuple[str, str]:
    """Writes certificate and key as PEM files; returns their paths."""
    certificate, key = leaf
    cert_path, key_path = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return str(cert_path), str(key_path)
