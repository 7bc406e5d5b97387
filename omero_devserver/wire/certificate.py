# SPDX-License-Identifier: GPL-2.0-or-later
"""The certificate: self-signed, made at the first start.

omero-py's clients do not verify certificates (`IceSSL.VerifyPeer=0`), but they need one: with OpenSSL 3 the anonymous
ciphers of older servers are off.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

KEY_BITS = 2048
DAYS = 3650


def certificate_in(folder: Path) -> Path:
    """Give the certificate of a data folder, made now if there is none.

    Parameters
    ----------
    folder : Path
        Created if missing; readable by its owner only.

    Returns
    -------
    Path
        A PEM file with key and certificate in one, as IceSSL reads them when it is given no file for the key (that option is
        reported as out of use). It is whole: it was written beside and renamed.
    """
    found = folder / "server-with-key.pem"
    if found.exists():
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
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write(found, secret + made.public_bytes(serialization.Encoding.PEM))
    return found


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(path.suffix + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    beside.replace(path)
