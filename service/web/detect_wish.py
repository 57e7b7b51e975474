"""What a request for a batch asks for: its parameters and content types, checked."""

import math
import re
from dataclasses import dataclass
from typing import Final, get_args

from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope

from service.errors import BadInput, UnknownBundle, UnsupportedEncoding
from service.scoring.fold import Fold
from service.settings import Settings
from service.stream.models import Models
from service.stream.policy_limits import MAX_BUDGET
from service.web.detect_columns import Form
from service.web.detect_messages import Contributions
from service.web.faults import check_parameters, checked_entity

JSON: Final = "application/json"
CSV: Final = "text/csv"
PACKED: Final = "application/msgpack"
FORMS: Final[dict[str, Form]] = {JSON: "json", CSV: "csv", PACKED: "packed"}
PARAMETERS: Final = ("bundle", "entity", "budget", "percentile", "contributions", "state")
MAX_PERCENTILE: Final = 50.0
WHOLE_ONLY: Final = "expected no `percentile` with a `state`: it looks at the whole series"
BUNDLE: Final = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,199})(/(?P<version>\w{1,64}))?", re.ASCII)


@dataclass(frozen=True)
class Wish:
    """A request without its body."""

    bundle: str | None
    entity: str | None
    budget: float | None  # None: the one in force
    percentile: float | None  # in place of a budget
    contributions: Contributions
    form: Form  # of the body
    wants_csv: bool  # the answer
    wants_state: bool  # for the next piece


def wish_of(scope: Scope, settings: Settings) -> Wish:
    """What a request asks for. Raises BadInput, UnsupportedEncoding."""
    headers, parameters = Headers(scope=scope), QueryParams(scope["query_string"])
    check_parameters(parameters, *PARAMETERS)
    budget = _number(parameters, "budget", most=MAX_BUDGET)
    percentile = _number(parameters, "percentile", most=MAX_PERCENTILE)
    if budget is not None and percentile is not None:
        raise BadInput("expected `budget` or `percentile`, came both")
    entity = parameters.get("entity")
    if entity is not None:
        checked_entity(entity, settings.max_entity_characters)
    wants_csv = _wants_csv(headers.get("accept", ""))
    return Wish(
        bundle=parameters.get("bundle"),
        entity=entity,
        budget=budget,
        percentile=percentile,
        contributions=_contributions(parameters.get("contributions", "top")),
        form=_form(headers.get("content-type", "")),
        wants_csv=wants_csv,
        wants_state=_wants_state(parameters, is_csv=wants_csv, percentile=percentile),
    )


def fold_of(wish: Wish, models: Models) -> Fold:
    """The opened bundle that is asked for. Raises UnknownBundle.

    A name alone is the version in force; without a name it is the bundle of the entity.
    """
    serving = models.serving
    if wish.bundle is None:
        return serving.fold_of(wish.entity or "")
    found = BUNDLE.fullmatch(wish.bundle)
    if found is None:
        raise UnknownBundle("expected a bundle as name or name/version")
    if found["version"] is not None:
        return models.open(found["name"], found["version"])
    if found["name"] not in serving.folds:
        raise UnknownBundle(f"expected one of the bundles {', '.join(sorted(serving.folds))}")
    return serving.folds[found["name"]]


def _number(parameters: QueryParams, name: str, *, most: float) -> float | None:
    if name not in parameters:
        return None
    try:
        number = float(parameters[name])
    except ValueError:
        number = math.nan
    if not 0.0 < number <= most:
        limit = f" and at most {most:g}"
        raise BadInput(f"expected a finite number above 0{limit} as `{name}`")
    return number


def _contributions(name: str) -> Contributions:
    for known in get_args(Contributions):
        if name == known:
            chosen: Contributions = known
            return chosen
    raise BadInput(f"expected one of {', '.join(get_args(Contributions))} as `contributions`")


def _wants_state(parameters: QueryParams, *, is_csv: bool, percentile: float | None) -> bool:
    if "state" not in parameters:
        return False
    if parameters["state"] != "return":
        raise BadInput("expected `return` as `state`; the state itself goes into the body")
    if is_csv:
        raise BadInput("expected an answer in JSON where a `state` is asked for")
    if percentile is not None:
        raise BadInput(WHOLE_ONLY)
    return True


def _form(content_type: str) -> Form:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in FORMS:
        raise UnsupportedEncoding(f"expected content type {', '.join(FORMS)}")
    return FORMS[media_type]


def _wants_csv(accept: str) -> bool:
    media_types = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return CSV in media_types and JSON not in media_types
