"""Points as they were posted, column by column: what one request holds, or several in one batch."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from service.stream.messages import Point

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Values = list[float | None] | dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Posted:
    """Points in columns of one length."""

    entities: Sequence[str]  # (point,)
    timestamps_ms: IntArray  # (point,)
    values: Sequence[Values] | FloatArray  # (point, dimension), or what each point has of its own

    def __len__(self) -> int:
        return len(self.entities)

    def __iter__(self) -> Iterator[Point]:
        return map(Point, self.entities, self.timestamps_ms.tolist(), self._listed)

    @cached_property
    def steps(self) -> int:
        """Points of the entity that has most of them."""
        if len(set(self.entities)) == len(self.entities):
            return min(len(self.entities), 1)
        return max(Counter(self.entities).values())

    def unusual(self, counts: Mapping[str, int]) -> list[int]:
        """Positions of points with named values, or not `counts` of them, by entity."""
        if not isinstance(self.values, np.ndarray):
            pairs = enumerate(zip(self.entities, self.values, strict=True))
            return [
                position
                for position, (entity, row) in pairs
                if not isinstance(row, list) or len(row) != counts[entity]
            ]
        width = self.values.shape[1]
        if set(counts.values()) <= {width}:
            return []
        return [
            position for position, entity in enumerate(self.entities) if counts[entity] != width
        ]

    def matrix(self, positions: Sequence[int], names: Sequence[str]) -> FloatArray:
        """Values (position, dimension) of some points, in the order of `names`; NaN = missing."""
        if isinstance(self.values, np.ndarray):
            return self.values[positions]
        values = self.values
        rows: list[Sequence[float | None]] = [
            row if isinstance(row, list) else list(map(row.get, names))
            for row in map(values.__getitem__, positions)
        ]
        return np.array(rows, np.float64).reshape(len(rows), len(names))

    @staticmethod
    def of(points: Sequence[Point]) -> "Posted":
        """These points, in columns."""
        times = np.array([point.timestamp_ms for point in points], np.int64)
        return Posted([p.entity for p in points], times, [p.values for p in points])

    @staticmethod
    def joined(parts: Sequence["Posted"]) -> "Posted":
        """The points of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        entities = list(chain.from_iterable(part.entities for part in parts))
        times = np.concatenate([np.empty(0, np.int64), *(part.timestamps_ms for part in parts)])
        return Posted(entities, times, list(chain.from_iterable(part._listed for part in parts)))

    @property
    def _listed(self) -> Sequence[Values]:
        if not isinstance(self.values, np.ndarray):
            return self.values
        lists: list[Values] = self.values.tolist()
        return lists
