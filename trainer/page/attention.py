"""What the network attends to, where its window graph tells of it."""

from collections.abc import Sequence

import numpy as np

from trainer.material import Material
from trainer.measures.events import FloatArray
from trainer.page.explained import Explainer, mean_of
from trainer.page.markup import figure, heading, paragraph, section
from trainer.page.words import ATTENTION, NO_EXTRAS
from trainer.pictures.heat import draw_gates, draw_map
from trainer.pictures.inline import svg

TITLES = {
    "attention": "How much of each dimension comes through",
    "feature_attention": "Between dimensions",
    "time_attention": "Between points of the window",
}
MAX_WINDOWS, MAX_SERIES = 512, 16  # the mean is taken over


def attention_of(material: Material, explainer: Explainer) -> str:
    """The section; where nothing is told, it says so."""
    told = [name for name in explainer.names if name in ATTENTION]
    if not told:
        why = NO_EXTRAS if not explainer.names else "The model of this bundle has no attention."
        return section("attention", "What it attends to", paragraph(why))
    series = (material.held_out or material.shown[0])[:MAX_SERIES]
    if not series:
        return section("attention", "What it attends to", paragraph("There are no windows to ask."))
    each = max(1, MAX_WINDOWS // len(series))
    found = [explainer.tell(one, explainer.rows_of(one, each)) for one in series]
    dimensions = material.bundle.manifest.dimensions
    pictures = []
    for name in told:
        mean = mean_of(found, name)
        if mean is not None:
            pictures += [heading(TITLES[name]), _picture(name, mean, dimensions)]
    return section("attention", "What it attends to", *pictures)


def _picture(name: str, mean: FloatArray, dimensions: Sequence[str]) -> str:
    if mean.ndim == 1:
        first, last = (dimensions[at] for at in (int(mean.argmax()), int(mean.argmin())))
        alt = (
            f"Mean gate of {len(mean)} dimensions, from {mean.max():.2f} ({first}) "
            f"to {mean.min():.2f} ({last})."
        )
        return figure(svg(draw_gates(mean, dimensions), name, alt), ATTENTION[name])
    is_time = name == "time_attention"
    names = [f"{1 + at - len(mean)}" for at in range(len(mean))] if is_time else list(dimensions)
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    alt = (
        f"Heat-map of {name.replace('_', ' ')}, {len(mean)} by {len(mean)}. Most: {names[row]} "
        f"attends to {names[column]} with {mean[row, column]:.2f}; alike would be "
        f"{1 / len(mean):.2f}."
    )
    what = "point" if is_time else "dimension"
    picture = draw_map(mean, names, rows=f"{what} that attends", columns=f"{what} attended to")
    return figure(svg(picture, name, alt), ATTENTION[name])
