"""`report.html`: one file that needs nothing but itself, made from the material of a report."""

from collections.abc import Callable
from pathlib import Path

from trainer.material import Material
from trainer.page.about import data_of, footer_of, head_of, training_of
from trainer.page.attention import attention_of
from trainer.page.detection import measures_of, score_of
from trainer.page.entities import entities_of
from trainer.page.explained import Explainer
from trainer.page.markup import document

NAME = "report.html"
LINKS = {
    "detection": "How good it is",
    "score": "What its score means",
    "entities": "What it saw",
    "attention": "What it attends to",
    "data": "What it was trained on",
    "training": "How it was trained",
}


def write_page(material: Material, tell: Callable[[float], None]) -> Path:
    """Write the page into the folder of the bundle; `tell` hears which share of it is done."""
    explainer = Explainer(material.bundle)
    parts: tuple[Callable[[], str], ...] = (
        lambda: f"<header>\n{head_of(material)}{_links()}</header>\n",
        lambda: "<main>\n",
        lambda: measures_of(material),
        lambda: score_of(material),
        lambda: entities_of(material, explainer),
        lambda: attention_of(material, explainer),
        lambda: data_of(material),
        lambda: training_of(material),
        lambda: f"</main>\n{footer_of(material.bundle.manifest)}",
    )
    made = []
    for done, part in enumerate(parts, start=1):
        made.append(part())
        tell(done / len(parts))
    path = material.bundle.folder / NAME
    path.write_text(document(f"Report of {material.bundle.title}", "".join(made)))
    return path


def _links() -> str:
    items = "".join(f'<li><a href="#{name}">{title}</a></li>\n' for name, title in LINKS.items())
    return f'<nav aria-label="Sections">\n<ul>\n{items}</ul>\n</nav>\n'
