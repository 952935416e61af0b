"""An API key → what the database holds of it: AES-256-GCM under ETL_SECRET_KEY, and of use for one source only.

The name and the origin of the source are authenticated with the key: what is copied to another source, or left where
the address was changed, cannot be decrypted.
"""

import base64
import os
import re
from binascii import Error
from collections.abc import Sequence
from contextlib import suppress

from etl.runtime.secret import Secret
from etl.runtime.urls import origin_of

PREFIX = "encrypted:"
NONCE_BYTES = 12
MISSING = (
    "ETL_SECRET_KEY is not set, with which keys are encrypted before they are stored: make one with `openssl rand -hex "
    "32`, put it into .env and keep a copy; or say where the key is, env:NAME or file:PATH"
)
_KEY = re.compile(r"[0-9a-fA-F]{64}")


def secret_keys(text: str) -> tuple[Secret, ...]:
    """``new,old`` → the keys, of which the first encrypts and each decrypts."""
    keys = [key.strip() for key in text.split(",")]
    if not all(map(_KEY.fullmatch, keys)):
        raise ValueError(
            "is not 64 hexadecimal digits, nor several such keys with commas between them, the new one first; make one "
            "with `openssl rand -hex 32`"
        )
    return tuple(Secret(key.lower()) for key in keys)


def encrypt(keys: Sequence[Secret], api_key: Secret, name: str, base_url: str) -> str:
    """What to store of a source's API key."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # imported only where a key is encrypted

    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_bytes(keys[0])).encrypt(nonce, api_key.reveal().encode(), _bound_to(name, base_url))
    return PREFIX + base64.b64encode(nonce + sealed).decode()


def decrypt(keys: Sequence[Secret], stored: str, name: str, base_url: str) -> Secret:
    """A source's API key; raises ``ValueError`` with the way out."""
    again = f"or give the API key again: `etl sources set {name} --key prompt`"
    if not keys:
        raise ValueError(f"is encrypted, and ETL_SECRET_KEY is not set; set it, {again}")
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # imported only where a key is encrypted

    with suppress(Error):
        data = base64.b64decode(stored.removeprefix(PREFIX), validate=True)
        for key in keys:
            with suppress(InvalidTag, ValueError):
                opened = AESGCM(_bytes(key)).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _bound_to(name, base_url))
                return Secret(opened.decode())
    raise ValueError(
        f"cannot be decrypted: it was encrypted with another ETL_SECRET_KEY, or for another name or base_url; put that "
        f"key back (ETL_SECRET_KEY=new,old), {again}"
    )


def _bytes(key: Secret) -> bytes:
    return bytes.fromhex(key.reveal())


def _bound_to(name: str, base_url: str) -> bytes:
    scheme, host, port = origin_of(base_url)
    return f"{name}\n{scheme}://{host}:{port}".encode()
