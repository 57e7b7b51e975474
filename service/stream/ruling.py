"""Rulings: the policies of the entities of a batch, as the rules of the fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Manifest
from service.scoring.rules import PLAIN, Gate, Rules
from service.stream.policy import Policies, Policy, closed

IntArray = npt.NDArray[np.int64]
SILENT = Policy()  # says nothing


@dataclass(frozen=True, eq=False)
class Ruling:
    """What operators want of the entities of a batch."""

    distinct: list[Policy]
    index: IntArray  # (entity,) which of them it has
    dimensions: tuple[str, ...]
    hurries: npt.NDArray[np.bool_]  # (entity,) its points wait for nothing

    def policy(self, entity: int) -> Policy:
        """That of one entity, given by number."""
        return self.distinct[int(self.index[entity])]

    @cached_property
    def is_plain(self) -> bool:
        """Whether nobody wants anything that is not so anyway."""
        return all(policy == SILENT for policy in self.distinct)

    @cached_property
    def lateness_ms(self) -> IntArray:
        """(entity,) how long points wait for earlier ones."""
        seconds = [policy.lateness_seconds or 0.0 for policy in self.distinct]
        bound_ms = np.array([round(1000 * each) for each in seconds], np.int64)
        return np.where(self.hurries, 0, bound_ms[self.index])

    @cached_property
    def tells_calibrating(self) -> npt.NDArray[np.bool_]:
        """(entity,) whether alerts are sent although no bundle was trained on it."""
        tells = [bool(policy.alert_while_calibrating) for policy in self.distinct]
        return np.array(tells, bool)[self.index]

    def rules(self, entities: IntArray, timestamps_ms: IntArray) -> Rules:
        """What holds of some entities (batch,), given by number, at points of these times."""
        if self.is_plain:
            return PLAIN
        chosen = self.index[entities]
        is_closed = np.zeros(len(chosen), bool)
        for number in np.unique(chosen).tolist():
            mine = chosen == number
            is_closed[mine] = closed(self.distinct[number], timestamps_ms[mine])
        return replace(self._table.at(chosen), is_closed=is_closed)

    @cached_property
    def _table(self) -> Rules:
        """The rules of each distinct policy."""
        said = self.distinct
        return Rules(
            open_count=np.array([policy.open_count or 1 for policy in said]),
            open_window=np.array([policy.open_window or 1 for policy in said]),
            resolve_after=np.array(
                [policy.resolve_after or int(PLAIN.resolve_after) for policy in said]
            ),
            resolve_below=np.array([policy.resolve_below or 1.0 for policy in said]),
            cool_down_ms=np.array(
                [round(1000 * (policy.cool_down_seconds or 0.0)) for policy in said]
            ),
            is_closed=np.zeros(len(said), bool),
            is_public=np.ones(len(said), bool),
            budget=_budgets(said),
            gate=_gates(said, self.dimensions),
        )


def ruling_of(
    policies: Policies,
    entities: Sequence[str],
    manifest: Manifest,
    *,
    hurries: npt.NDArray[np.bool_] | None = None,
) -> Ruling:
    """What operators want of the entities of a batch; `hurries` (entity,) wait for nothing."""
    if hurries is None:
        hurries = np.zeros(len(entities), bool)
    has_names = bool(policies.patterns or policies.entities)
    said = [policies.of(entity) for entity in (entities if has_names else entities[:1])]
    distinct = list({id(policy): policy for policy in said}.values())  # equal ones are one object
    index = np.zeros(len(entities), np.int64)
    if len(distinct) > 1:
        numbers = {id(policy): number for number, policy in enumerate(distinct)}
        index[:] = [numbers[id(policy)] for policy in said]
    return Ruling(distinct, index, manifest.dimensions, hurries)


def _budgets(said: Sequence[Policy]) -> npt.NDArray[np.float64] | None:
    if all(policy.budget is None for policy in said):
        return None
    return np.array([np.nan if policy.budget is None else policy.budget for policy in said])


def _gates(said: Sequence[Policy], dimensions: Sequence[str]) -> Gate | None:
    if not any(policy.direction or policy.min_deviation or policy.dimensions for policy in said):
        return None
    rows = [_gate(policy, tuple(dimensions)) for policy in said]
    return Gate(
        up=np.stack([row.up for row in rows]),
        down=np.stack([row.down for row in rows]),
        min_deviation=np.stack([row.min_deviation for row in rows]),
    )


@lru_cache(maxsize=1024)
def _gate(policy: Policy, dimensions: tuple[str, ...]) -> Gate:
    asked = [policy.of_dimension(name) for name in dimensions]
    return Gate(
        up=np.array([one.direction in ("both", "up") for one in asked]),
        down=np.array([one.direction in ("both", "down") for one in asked]),
        min_deviation=np.array([one.min_deviation or 0.0 for one in asked]),
    )
