# SPDX-License-Identifier: GPL-2.0-or-later
"""The certificate: self-signed, made at the first start.

omero-py's clients do not verify certificates (`IceSSL.VerifyPeer=0`), but they need one: with OpenSSL 3 the anonymous
ciphers of older servers are off.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

KEY_BITS = 2048
DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Files of a certificate and its key, both PEM."""

    certificate: Path
    key: Path


def certificate_in(folder: Path) -> Certificate:
    """Give the certificate of a data folder, made now if there is none.

    Parameters
    ----------
    folder : Path
        Created if missing; readable by its owner only.

    Returns
    -------
    Certificate
        Both files exist. Either is complete: they are written beside and renamed, the certificate last.
    """
    found = Certificate(certificate=folder / "server.pem", key=folder / "server.key")
    if found.certificate.exists() and found.key.exists():
        return found
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "omero-devserver")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .sign(key, hashes.SHA256())
    )
    _write(
        found.key,
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    )
    _write(found.certificate, made.public_bytes(serialization.Encoding.PEM))
    return found


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(path.suffix + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    beside.replace(path)
