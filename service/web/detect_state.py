"""The state of a series that comes in pieces: it travels with the client, sealed.

A seal is an HMAC under the secret of the replicas, over the past of the series and what it
belongs to. Nothing is read of a state that we did not make, and none is used for another series
than its own. What a bundle made that came with a request is for such requests alone.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

import msgspec

from service.errors import BadInput
from service.scoring.fold import STATE_FORMAT, Fold

FORM: Final = f"gaugewatch.series/1.{STATE_FORMAT}"
SEAL_BYTES: Final = 32


class Owner(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a state belongs to."""

    digest: str  # of the bundle
    budget: float
    entity: str
    is_uploaded: bool  # the bundle came with the request
    form: str = FORM


class SealedPast(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a state holds."""

    owner: Owner
    past: bytes


_SEALED: Final = msgspec.msgpack.Decoder(SealedPast)


def owner_of(fold: Fold, entity: str, *, is_uploaded: bool = False) -> Owner:
    """Of a series of this entity that is scored by this fold."""
    return Owner(fold.bundle.manifest.digest, fold.budget, entity, is_uploaded)


class Seals:
    """Makes and opens states."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sealed(self, past: SealedPast) -> str:
        """The state, as a client keeps it."""
        content = msgspec.msgpack.encode(past)
        return base64.urlsafe_b64encode(self._seal(content) + content).decode()

    def opened(self, state: str) -> SealedPast:
        """What we sealed once. Raises BadInput."""
        try:
            whole = base64.b64decode(state.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise BadInput("expected a `state` as it came with an answer") from None
        seal, content = whole[:SEAL_BYTES], whole[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(content)):
            raise BadInput(
                "expected a `state` as it came with an answer of this service; this one was "
                "changed, or sealed by another service"
            )
        try:
            return _SEALED.decode(content)
        except msgspec.DecodeError:  # ours, so of another release
            raise BadInput(_FOREIGN.format(what="release")) from None

    def _seal(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, hashlib.sha256)


def check_owner(came: Owner, expected: Owner) -> None:
    """Refuse a state of something else. Raises BadInput."""
    for name, what in (
        ("form", "release"),
        ("is_uploaded", "origin of the bundle"),
        ("digest", "version of the bundle"),
        ("budget", "budget"),
        ("entity", "entity"),
    ):
        if getattr(came, name) != getattr(expected, name):
            raise BadInput(_FOREIGN.format(what=what))


_FOREIGN: Final = (
    "expected the `state` of the piece before; this one is of another {what}: begin again with "
    "the first piece"
)
