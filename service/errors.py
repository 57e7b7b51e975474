"""Everything that can go wrong, as one tree.

GaugewatchError
├── BadInput                    422  what was sent cannot be read
│   ├── BadBody                 400  not JSON, wrong shape, wrong type
│   ├── BodyTooLarge            413
│   ├── UnsupportedEncoding     415
│   ├── BadPoints               422  well-formed, but points do not fit their bundle
│   ├── BadSeries               422  a file of points cannot be read
│   ├── BadCursor               422
│   ├── EpochMovedOn            412  somebody changed what was to be replaced
│   └── BundleRefused           422  a candidate that was tried and must not score
├── NotAuthorised               401
├── OriginRefused               403  a web page of another site (web/auth.py)
├── HostRefused                 403  a name that is not of this machine (web/auth.py)
├── UnknownEntity               404
├── UnknownIncident             404
├── UnknownBundle               404
├── UnknownExample              404
├── Overloaded                  503  queues are full; retry
├── SubscriberTooSlow           503  closed; resume by cursor (stream/alerts.py)
├── StoreUnavailable            503  Redis is away; retry
├── EntityContended             503  another replica keeps scoring the entity; retry
├── ConfigurationUnreadable     503  another release wrote it; serving goes on with the one before
├── StoreMisconfigured          500  Redis would lose what we promise to keep (stops the start)
├── BundleInvalid               500  a bundle cannot be trusted (stops the start)
├── SettingInvalid              500  a setting cannot work (stops the start)
└── TrainingFailed              500  the trainer cannot go on
"""

from collections.abc import Mapping, Sequence
from typing import Any


class GaugewatchError(Exception):
    """Root of the tree. `status` is the HTTP status, `code` the stable name clients may match."""

    status = 500
    code = "internal"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)


class BadInput(GaugewatchError):
    """What was sent cannot be used."""

    status = 422
    code = "bad_input"


class BadBody(BadInput):
    """The body is not of a form this route reads."""

    status = 400
    code = "bad_body"


class BodyTooLarge(BadInput):
    """The body is longer than the limit, or holds more points than the limit."""

    status = 413
    code = "body_too_large"


class UnsupportedEncoding(BadInput):
    """The content type or content encoding is not read here."""

    status = 415
    code = "unsupported_encoding"


class BadPoints(BadInput):
    """Points that do not fit the bundle of their entity; `errors` lists each."""

    code = "bad_points"


class BadSeries(BadInput):
    """A file of points cannot be read."""

    code = "bad_series"


class BadCursor(BadInput):
    """A cursor into the alert log that we never gave."""

    code = "bad_cursor"


class EpochMovedOn(BadInput):
    """The document was changed since it was read; read it again."""

    status = 412
    code = "epoch_moved_on"


class BundleRefused(BadInput):
    """A version was opened and tried, and cannot be put in force."""

    code = "bundle_refused"


class NotAuthorised(GaugewatchError):
    """A bearer key is required and none, or a wrong one, came."""

    status = 401
    code = "not_authorised"


class UnknownEntity(GaugewatchError):
    """No point of this entity is kept."""

    status = 404
    code = "unknown_entity"


class UnknownIncident(GaugewatchError):
    """No incident of this name is kept."""

    status = 404
    code = "unknown_incident"


class UnknownBundle(GaugewatchError):
    """No bundle of this name or version is loaded."""

    status = 404
    code = "unknown_bundle"


class UnknownExample(GaugewatchError):
    """No series of this entity is at hand for this bundle."""

    status = 404
    code = "unknown_example"


class Overloaded(GaugewatchError):
    """A queue is full; nothing of the request was kept."""

    status = 503
    code = "overloaded"
    retry_after_seconds = 1


class StoreUnavailable(GaugewatchError):
    """Redis did not answer in time; repeat the request, nothing is scored twice."""

    status = 503
    code = "store_unavailable"
    retry_after_seconds = 1


class EntityContended(GaugewatchError):
    """Another replica scored the entity at every attempt; to a client the same as above."""

    status = 503
    code = "store_unavailable"
    retry_after_seconds = 1


class ConfigurationUnreadable(GaugewatchError):
    """The configuration in force is of a form that this release does not know."""

    status = 503
    code = "configuration_unreadable"
    retry_after_seconds = 1


class StoreMisconfigured(GaugewatchError):
    """Redis would lose what we promise to keep."""

    code = "store_misconfigured"


class BundleInvalid(GaugewatchError):
    """A bundle is damaged, incomplete, or breaks the contract."""

    code = "bundle_invalid"


class SettingInvalid(GaugewatchError):
    """A setting cannot work."""

    code = "setting_invalid"


class TrainingFailed(GaugewatchError):
    """Training or export cannot go on."""

    code = "training_failed"
