"""What the exported step graph says of held-out points, as it will say it when it serves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Bundle
from service.scoring.detector import Detector
from service.scoring.normaliser import Normaliser
from service.scoring.offline import lockstep

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stretch:
    """Held-out points of one entity, with the points before them that warm the state."""

    entity_index: int
    warm_up: int  # leading rows that only warm the state
    values: Float32Array  # (time, dimension) minus the centre, imputed
    is_missing: BoolArray  # (time, dimension) where the value is imputed

    def as_unknown(self, center: FloatArray) -> "Stretch":
        """The same points sent by an entity nobody was trained on: the pooled row judges them."""
        values = self.values + (center[self.entity_index] - center[0])
        return replace(self, entity_index=0, values=values.astype(np.float32))


@dataclass(frozen=True)
class Observed:
    """What the graph said of one stretch, its warm-up left out."""

    errors: Float32Array  # (time, view, dimension)
    residuals: Float32Array  # (time, dimension) |value - expected|
    is_missing: BoolArray  # (time, dimension)

    @property
    def has_value(self) -> BoolArray:
        """What may be learned from; all of it in a dimension that never had a value."""
        return ~self.is_missing | self.is_missing.all(axis=0)


def observe(
    draft: Bundle, stretches: Sequence[Stretch], *, on_point: Callable[[int], None] | None = None
) -> list[Observed]:
    """Run the step graph over all stretches side by side."""
    detector, normaliser = Detector(draft), Normaliser(draft.manifest)
    dtype = np.dtype([(t.name, "<f4", t.shape) for t in draft.manifest.state])
    states = np.zeros(len(stretches), dtype)
    index = np.array([stretch.entity_index for stretch in stretches], np.int64)
    observed = [_blank(one, views=len(draft.manifest.views)) for one in stretches]
    for time, members in lockstep([len(stretch.values) for stretch in stretches]):
        values = np.stack([stretches[m].values[time] for m in members])
        detection = detector.run(states[members], values, index[members])
        for name, tensor in detection.state.items():
            states[name][members] = tensor
        views = normaliser.view_errors(detection.error)
        for position, member in enumerate(members):
            if (row := time - stretches[member].warm_up) >= 0:
                observed[member].errors[row] = views[position]
                residual = np.abs(values[position] - detection.expected[position])
                observed[member].residuals[row] = residual
        if on_point is not None:
            on_point(len(members))
    return observed


def _blank(stretch: Stretch, *, views: int) -> Observed:
    """What is to be filled in point by point."""
    is_missing = stretch.is_missing[stretch.warm_up :]
    points, dimensions = is_missing.shape
    errors = np.empty((points, views, dimensions), np.float32)
    return Observed(errors, np.empty((points, dimensions), np.float32), is_missing)
