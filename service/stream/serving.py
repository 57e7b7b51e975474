"""Serving: one configuration at work. Which bundle scores which entity, and what fits it."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import BadPoints, BundleInvalid, UnknownBundle
from service.scoring.fold import Fold
from service.stream.configuration import Configuration
from service.stream.policy import Policies
from service.stream.posted import FloatArray, Posted, Values

MAX_ERRORS_LISTED = 100


class Serving:
    """Immutable: another configuration is another object.

    An entity is scored by the bundle an operator assigned it to, if the folder has it, else by the
    one that was trained on it, else by the default, which is the only bundle if none is named.
    """

    def __init__(
        self,
        epoch: int,
        configuration: Configuration,
        folds: Mapping[str, Fold],
        *,
        shadows: Mapping[str, Fold],
    ) -> None:
        """`folds` and `shadows` are the opened versions that the configuration names."""
        self.epoch = epoch
        self.configuration = configuration
        self.folds, self.shadows = folds, shadows
        self._is_assigning = bool(configuration.assigned_bundles)  # to anybody
        named = configuration.default
        if named is not None and named not in folds:
            raise UnknownBundle(f"default bundle {named!r} is not one of {sorted(folds)}")
        self.default = named or (next(iter(folds)) if len(folds) == 1 else None)
        self._names = {
            name: frozenset(fold.bundle.manifest.dimensions) for name, fold in folds.items()
        }
        self._by_entity: dict[str, str] = {}
        for name, fold in folds.items():
            self._claim(name, fold.bundle.manifest.entities)

    @property
    def policies(self) -> Policies:
        """What operators want to hear of."""
        return self.configuration.policies

    def bundle_of(self, entity: str) -> str | None:
        """Name of the bundle that scores `entity`, if any does."""
        if self._is_assigning and (own := self.configuration.assigned(entity)) in self.folds:
            return own
        return self._by_entity.get(entity, self.default)

    def name_of(self, entity: str) -> str:
        """Name of the bundle that scores `entity`; raises UnknownBundle."""
        name = self.bundle_of(entity)
        if name is None:
            raise UnknownBundle("no bundle was trained on this entity and there is no default")
        return name

    def fold_of(self, entity: str) -> Fold:
        """The opened bundle that scores `entity`; raises UnknownBundle."""
        return self.folds[self.name_of(entity)]

    def check(self, points: Posted) -> None:
        """Raise BadPoints, listing every point that does not fit the bundle of its entity."""
        counts = {entity: self._dimensions(entity) for entity in set(points.entities)}
        errors: list[Mapping[str, Any]] = []
        for index in points.unusual(counts):
            problem = self._problem(points.entities[index], points.values[index])
            if problem is not None:
                errors.append({"index": index, **problem})
        if errors:
            raise BadPoints(
                f"{len(errors)} of {len(points)} points do not fit the bundle of their entity; "
                "nothing was kept",
                errors=errors[:MAX_ERRORS_LISTED],
            )

    def _dimensions(self, entity: str) -> int:
        """How many the bundle of an entity has; a number that nothing has where there is none."""
        name = self.bundle_of(entity)
        return -1 if name is None else len(self._names[name])

    def _problem(self, entity: str, values: Values | FloatArray) -> dict[str, str] | None:
        try:
            name = self.name_of(entity)
        except UnknownBundle as error:
            return {"code": error.code, "detail": error.detail}
        if isinstance(values, dict):
            unknown = len(values.keys() - self._names[name])
            if not unknown:
                return None
            detail = f"{unknown} names are not dimensions of bundle {name!r}"
            return {"code": "unknown_dimension", "detail": detail}
        expected = len(self._names[name])
        detail = f"expected {expected} values for bundle {name!r}, came {len(values)}"
        return {"code": "wrong_dimension_count", "detail": detail}

    def _claim(self, name: str, entities: Sequence[str]) -> None:
        for entity in entities:
            if (other := self._by_entity.setdefault(entity, name)) != name:
                raise BundleInvalid(f"entity {entity!r} belongs to two bundles: {other}, {name}")
