"""The forms in which a series comes: what a body says, before it is compared with a bundle.

JSON columns; columns in MessagePack, whose arrays are blocks of bytes; or CSV, which may lie in
MessagePack too, where a state or a bundle has to come along.
"""

from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import UNSET, Meta, UnsetType

from service.errors import BadBody
from service.web.faults import bad_json

Form = Literal["json", "csv", "packed"]
MAX_NAMES: Final = 2**16  # of dimensions that a row may have
MAX_LISTED: Final = 2**20  # numbers of a list in MessagePack; more come as a block
MAX_FILES: Final = 64

Names = Annotated[list[str], Meta(max_length=MAX_NAMES)]
Integers = Annotated[list[int], Meta(max_length=MAX_LISTED)]
Files = Annotated[dict[str, memoryview], Meta(max_length=MAX_FILES)]
Marks = Annotated[list[bool | int], Meta(max_length=MAX_LISTED)]


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A series as columns; rows of values are read one by one, so that others get their turn."""

    values: list[msgspec.Raw]
    timestamp_ms: list[int] | UnsetType = UNSET  # left out: the period of the bundle
    dimensions: list[str] | UnsetType = UNSET  # left out: those of the bundle
    label: list[bool | int] | UnsetType = UNSET
    state: str | UnsetType = UNSET  # of the piece before
    entity: str | None = None  # that of the query, if at all
    faults: msgspec.Raw | UnsetType = UNSET  # as an example has them; nobody reads them here


class Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same in MessagePack; numbers are blocks of bytes, little end."""

    values: memoryview | UnsetType = UNSET  # float32 or float64, point after point
    timestamp_ms: memoryview | Integers | UnsetType = UNSET  # a block is of int64
    dimensions: Names | UnsetType = UNSET
    label: memoryview | Marks | UnsetType = UNSET  # a block has a byte for each point
    state: str | UnsetType = UNSET
    entity: str | None = None
    faults: msgspec.Raw | UnsetType = UNSET
    csv: memoryview | UnsetType = UNSET  # in place of the columns
    bundle: Files | UnsetType = UNSET  # to score with, by name of file; or
    bundle_zip: memoryview | UnsetType = UNSET  # its folder

    @property
    def has_bundle(self) -> bool:
        """Whether it brings what it is scored with."""
        return self.bundle is not UNSET or self.bundle_zip is not UNSET


_COLUMNS: Final = msgspec.json.Decoder(Columns)
_PACKED: Final = msgspec.msgpack.Decoder(Packed)


def columns_of(body: bytes) -> Columns:
    """Of JSON. Raises BadBody."""
    try:
        return _COLUMNS.decode(body)
    except (ValueError, RecursionError) as error:
        raise bad_json(error, body) from None


def packed_of(body: bytes) -> Packed:
    """Of MessagePack. Raises BadBody."""
    try:
        packed = _PACKED.decode(body)
    except msgspec.ValidationError as error:
        raise bad_json(error, body, kind=Packed) from None
    except (ValueError, RecursionError):
        raise BadBody("the body cannot be read: it is not MessagePack") from None
    beside = (packed.values, packed.timestamp_ms, packed.dimensions, packed.label)
    if (packed.csv is UNSET) == (packed.values is UNSET) or (
        packed.csv is not UNSET and beside != (UNSET,) * 4
    ):
        raise BadBody("expected `values`, or else `csv` without any columns beside it")
    if UNSET not in (packed.bundle, packed.bundle_zip):
        raise BadBody("expected `bundle` or `bundle_zip`, came both")
    return packed


def integers(block: memoryview) -> list[int]:
    """A block of int64. Raises BadBody."""
    if len(block) % 8:
        raise BadBody(f"expected `timestamp_ms` as int64, 8 bytes each, came {len(block)} bytes")
    numbers: list[int] = np.frombuffer(block, "<i8").tolist()
    return numbers


def block_rows(block: memoryview, width: int, points: int | None) -> npt.NDArray[np.float64]:
    """A block of values (point, width): float32 or float64, told by the number of points.

    Where nobody says how many points there are, they are float32; NaN is a missing value. Raises
    BadBody.
    """
    count = len(block) // (4 * width) if points is None else points
    for kind in ("<f4", "<f8"):
        if count and len(block) == count * width * np.dtype(kind).itemsize:
            with np.errstate(invalid="ignore"):  # whatever kind of NaN
                return np.frombuffer(block, kind).reshape(-1, width).astype(np.float64)
    expected = "some" if points is None else str(points)
    raise BadBody(
        f"expected `values` as float32 or float64, {width} for each of {expected} points, "
        f"came {len(block)} bytes"
    )
