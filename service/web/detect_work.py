"""The work of a batch: from what came to what was found, and to the answer in pieces."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec import UNSET

from service.errors import BadInput
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.percentile import by_percentile
from service.scoring.pieces import Past, decoded, no_past, score_piece
from service.scoring.series import Series
from service.scoring.tail import flagged_share
from service.web.detect_answer import Detected, as_json
from service.web.detect_body import check_size, series_of
from service.web.detect_columns import Columns, Packed, columns_of
from service.web.detect_frame import Frame
from service.web.detect_state import SealedPast, check_owner, owner_of
from service.web.detect_table import as_csv
from service.web.detect_wish import WHOLE_ONLY, Wish

OnPoint = Callable[[int], None]


@dataclass(frozen=True)
class Piece:
    """A series, or the next piece of one."""

    series: Series
    past: Past


def piece_of(
    fold: Fold,
    came: Columns | Packed,
    wish: Wish,
    *,
    sealed: SealedPast | None,
    max_points: int,
    is_uploaded: bool = False,
) -> Piece:
    """What came, compared with the bundle; `sealed` came along with it. Raises BadInput."""
    entity = wish.entity or ""
    past = no_past(fold, entity)
    if sealed is not None:
        check_owner(sealed.owner, owner_of(fold, entity, is_uploaded=is_uploaded))
        past = decoded(sealed.past, fold)
    frame = Frame(fold.bundle.manifest, max_points, past.points, past.newest_ms)
    return Piece(series_of(came, frame, entity=entity), past)


def came_in(body: bytes, wish: Wish, frame: Frame) -> Columns | Packed:
    """What a body says that is not MessagePack. Raises BadInput."""
    check_size(body, wish.form, frame)
    return Packed(csv=memoryview(body)) if wish.form == "csv" else columns_of(body)


def state_in(came: Columns | Packed, wish: Wish) -> str | None:
    """The state of the piece before, if this is not the first. Raises BadInput."""
    if came.state is UNSET:
        return None
    if wish.percentile is not None:
        raise BadInput(WHOLE_ONLY)
    return came.state


def detect(
    fold: Fold, piece: Piece, percentile: float | None, *, on_point: OnPoint | None = None
) -> tuple[Detected, Past]:
    """Everything in a piece, by the budget of the fold or by percentile, and what it leaves."""
    series, past = piece.series, piece.past
    if percentile is not None:
        [scored] = score_series(fold, [series], on_point=on_point)
        decision = by_percentile(
            scored, series.timestamps_ms, percentile=percentile, manifest=fold.bundle.manifest
        )
        return Detected(fold.bundle, series, decision.scored, decision.threshold_p, past), past
    scored, left = score_piece(fold, series, past, on_point=on_point)
    index = fold.bundle.entity_indices.get(series.entity, 0)
    shares = flagged_share(
        fold.bundle.calibration.kappa,
        budget=fold.budget,
        period_seconds=fold.bundle.manifest.period_seconds,
    )
    return Detected(fold.bundle, series, scored, float(shares[index]), past), left


def answer(wish: Wish, fold: Fold, detected: Detected) -> Iterator[bytes]:
    """The answer in pieces; of JSON without its end."""
    if wish.wants_csv:
        return as_csv(detected, contributions=wish.contributions)
    budget = fold.budget if wish.percentile is None else None
    return as_json(
        detected, budget=budget, percentile=wish.percentile, contributions=wish.contributions
    )
