"""Signatures of outgoing requests by the Standard Webhooks specification, version 1. Pure.

What is signed is `id.timestamp.body`, the bytes of the body as they are sent; the scheme `v1` is HMAC-SHA256 under the
secret's bytes, in Base64. A request carries a signature by every live secret, so that a receiver that knows one of them
can verify it while the other is being brought in.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256

SECRET_PREFIX = "whsec_"  # noqa: S105 - what the specification begins every secret with
ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
HEADERS = frozenset({ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER})


def shown_secret(key: bytes) -> str:
    """The form in which a receiver's library takes it."""
    return SECRET_PREFIX + b64encode(key).decode("ascii")


def signature_headers(keys: Sequence[bytes], message_id: str, unix_seconds: int, body: bytes) -> dict[str, str]:
    """`message_id` is the same over all attempts; `unix_seconds` is that of this one."""
    signed = f"{message_id}.{unix_seconds}.".encode() + body
    signatures = [f"v1,{b64encode(hmac.digest(key, signed, sha256)).decode('ascii')}" for key in keys]
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(unix_seconds), SIGNATURE_HEADER: " ".join(signatures)}
