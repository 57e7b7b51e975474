import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.scoring.bundle import Bundle, File, sha256_of
from service.scoring.offline import Scored
from service.scoring.series import Series
from tests.builders import DIMENSIONS, ENTITIES, loaded_tiny_bundle, series_like
from tests.trainer.made import bundle_of, entity_of
from tests.trainer.small import series
from tests.trainer.test_attended import Heard
from tests.trainer.test_report import labelled, material
from trainer.config import CONFIGS, Model
from trainer.datasets import Halves
from trainer.material import Material, write_history
from trainer.page.exhibits import chosen_dimensions, exhibits
from trainer.page.explained import Explainer
from trainer.page.report_page import LINKS, write_page
from trainer.page.words import MEASURES, MODELS
from trainer.run import examine, publish
from trainer.tables import MEASURES as TITLES
from trainer.training import Progress

VOID = {"meta", "img", "br", "link"}
HOSTILE = ('<script>alert("x")</script>', "a$b$c", "d&amp;'\"", "e\u202e</svg>")


class Page(HTMLParser):
    """Notes what a page shows; refuses tags that are not closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.pictures: list[str] = []  # alternative texts
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: set[str] = set()
        self.said = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self._note(tag, known)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data

    def _note(self, tag: str, known: dict[str, str | None]) -> None:
        self.tags.add(tag)
        if tag == "svg":
            assert known["role"] == "img"
            self.pictures.append(known["aria-label"] or "")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.ids += [known["id"] or ""] if "id" in known else []
        for name in ("href", "src", "srcset", "xlink:href"):
            self.references += [known[name] or ""] if name in known else []


def ignore(share: float) -> None:
    """Progress nobody watches."""


def page_of(given: Material, tell: Callable[[float], None] = ignore) -> Page:
    return Page(write_page(given, tell).read_text())


def progress(epoch: int) -> Progress:
    return Progress(epoch, 3, epoch, 3, 1 / epoch, 2 / epoch, 0.0, 1e-3)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Labelled data of two entities, and a history of the training."""
    bundle = loaded_tiny_bundle(tmp_path_factory.mktemp("page"))
    write_history(bundle.folder, [progress(epoch) for epoch in (1, 2, 3)], best_epoch=2)
    return labelled(bundle)


@pytest.fixture(scope="module")
def page(given: Material) -> Page:
    return page_of(given)


def test_every_section_is_there_linked_and_named(page: Page) -> None:
    assert set(LINKS) <= set(page.ids)
    assert [reference[1:] for reference in page.references if reference[1:] in LINKS] == list(LINKS)
    for title in LINKS.values():
        assert page.said.count(title) == 2
    assert "The weights of epoch 2 were kept" in page.said


def test_nothing_outside_the_page_is_referred_to(page: Page) -> None:
    assert "script" not in page.tags
    assert "link" not in page.tags
    for reference in [*page.references, *re.findall(r"url\(([^)]*)\)", page.text)]:
        assert reference.startswith(("#", "data:image/png;base64,"))
    assert "default-src 'none'" in page.text


def test_references_of_pictures_are_to_what_is_in_the_page(page: Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    inner = {reference[1:] for reference in page.references if reference.startswith("#")}
    inner |= set(re.findall(r"url\(#([^)]*)\)", page.text))
    assert inner <= set(page.ids)


def test_headings_are_in_order(page: Page) -> None:
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    steps = np.diff(page.headings)
    assert steps.max() == 1


def test_every_picture_says_what_is_seen(page: Page) -> None:
    assert len(page.pictures) == 3 + 2 * 5  # loss, floors, budget; five of each entity
    for text in page.pictures:
        assert text.endswith(".")
        assert len(text.split()) > 8
    assert len(set(page.pictures)) == len(page.pictures)
    assert page.text.count("<figcaption>") == len(page.pictures)


def test_colours_are_those_of_the_page_so_that_it_can_be_dark(page: Page) -> None:
    assert "prefers-color-scheme: dark" in page.text
    body = page.text[page.text.index("</style>") :]
    assert set(re.findall(r"#[0-9a-f]{6}\b", body)) <= {"#000000"}


def test_the_page_is_small(page: Page) -> None:
    assert len(page.text) < 1_500_000


def test_equal_material_gives_equal_pages(given: Material, page: Page) -> None:
    assert page_of(given).text == page.text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    manifest = bundle.manifest.model_copy(
        update={"dimensions": HOSTILE, "entities": ("<b>alpha</b>", "beta")}
    )
    hostile = replace(bundle, manifest=manifest)
    usual = labelled(bundle)

    def renamed(half: list[Series]) -> list[Series]:
        return [replace(one, dimensions=HOSTILE, entity=f"<b>{one.entity}</b>") for one in half]

    halves = replace(
        usual.halves, train=renamed(usual.halves.train), test=renamed(usual.halves.test)
    )
    evaluation = replace(usual.evaluation, series=tuple(halves.test))
    held_out = renamed(list(usual.held_out))
    page = page_of(Material(hostile, halves, evaluation, held_out, usual.held_out_scored))
    assert not {"script", "b"} & page.tags
    assert page.said.count(HOSTILE[0]) > 3
    assert "a$b$c" in page.said


def test_progress_is_told_to_the_end(given: Material) -> None:
    told: list[float] = []
    page_of(given, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_without_labels_history_or_points_it_says_what_is_missing(tmp_path: Path) -> None:
    bundle = loaded_tiny_bundle(tmp_path)
    page = page_of(material(bundle, [series_like("alpha", 2)], []))
    for said in ("nothing could be measured", "it is too short", "was not kept", "its model has"):
        assert said in page.said


def test_a_calm_constant_series_can_be_shown(tmp_path: Path) -> None:
    calm = replace(series_like("alpha", 300), values=np.zeros((300, len(DIMENSIONS))))
    page = page_of(material(loaded_tiny_bundle(tmp_path), [calm], []))
    assert "none was anomalous" in page.said


def test_the_worst_and_a_typical_entity_are_shown(given: Material) -> None:
    def scored(peak: float) -> Scored:
        severity = np.zeros_like(given.evaluation.scored[0].severity)
        severity[7] = peak
        is_anomaly = severity > 0
        return replace(given.evaluation.scored[0], severity=severity, is_anomaly=is_anomaly)

    names = ["a", "b", "c", "d", "e"]
    tests = tuple(replace(given.evaluation.series[0], entity=name) for name in names)
    own = tuple(scored(peak) for peak in (3.0, 9.0, 1.0, 5.0, 7.0))
    evaluation = replace(given.evaluation, series=tests, scored=own)
    shown = exhibits(replace(given, evaluation=evaluation))
    assert [one.series.entity for one in shown] == ["b", "d"]


def test_ordinary_dimensions_are_shown_beside_the_blamed_if_they_move() -> None:
    values = np.random.default_rng(0).normal(size=(50, 9))
    values[:, 6] = 1.0
    one = replace(series_like("alpha", 50), values=values)
    shown = chosen_dimensions(one, np.arange(9))
    assert shown[:4] == [0, 1, 2, 3]
    assert len(shown) == 6
    assert 6 not in shown


def test_every_model_and_measure_has_words() -> None:
    assert set(MODELS) == set(CONFIGS)
    assert set(MEASURES) == set(TITLES.values())


# ---- what a window graph tells beside its answer


def explained(bundle: Bundle, **extras: tuple[int, ...]) -> Bundle:
    """The bundle with a window graph that also gives its first values, in these shapes."""
    path = bundle.folder / "window.onnx"
    graph = onnx.load(path)
    source = graph.graph.input[0].name
    for name, shape in extras.items():
        size = int(np.prod(shape))
        constants = {"shape": [0, -1], "start": [0], "stop": [size], "axis": [1]}
        constants["made"] = [-1, *shape]
        for kind, value in constants.items():
            graph.graph.initializer.append(
                helper.make_tensor(f"{name}_{kind}", TensorProto.INT64, [len(value)], value)
            )
        graph.graph.node.extend(
            [
                helper.make_node("Reshape", [source, f"{name}_shape"], [f"{name}_flat"]),
                helper.make_node(
                    "Slice",
                    [f"{name}_flat", f"{name}_start", f"{name}_stop", f"{name}_axis"],
                    [f"{name}_cut"],
                ),
                helper.make_node("Reshape", [f"{name}_cut", f"{name}_made"], [name]),
            ]
        )
        graph.graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        )
    onnx.save(graph, path)
    file = File(file=path.name, sha256=sha256_of(path))
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"window": file}))


def test_what_explains_the_network_is_drawn(tmp_path: Path) -> None:
    extras = {
        "latent": (3,),
        "attention": (4,),
        "feature_attention": (4, 4),
        "time_attention": (3, 3),
    }
    bundle = explained(loaded_tiny_bundle(tmp_path), **extras)
    page = page_of(labelled(bundle))
    for said in ("Latent trajectory of alpha", "Mean gate of 4", "feature attention, 4 by 4"):
        assert any(said in text for text in page.pictures)
    assert any("time attention, 3 by 3" in text for text in page.pictures)


@pytest.mark.slow
@pytest.mark.timeout(300)  # the bundle may have to be exported
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gru_vae", f"Latent trajectory of {entity_of('gru_vae')}"),
        ("vae_lstm", f"Latent trajectory of {entity_of('vae_lstm')}"),
        ("slmr", "Mean gate of 6 dimensions"),
        ("mtad_gat", "Heat-map of time attention"),
    ],
)
def test_a_fitted_model_shows_what_explains_it(
    model: Model, said: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = bundle_of(model, tmp_path_factory)
    bundle = replace(made, folder=shutil.copytree(made.folder, tmp_path / "one"))
    stages, half = Heard(), [series(entity_of(model))]
    publish(examine(bundle, Halves(half, half), stages), stages, has_report=True)
    page = Page((bundle.folder / "report.html").read_text())
    assert any(text.startswith(said) for text in page.pictures)
    assert stages.titles[-1] == "report"
    assert stages.told[-1] == (1.0, "")


def test_windows_are_those_before_their_rows_minus_the_centre(tmp_path: Path) -> None:
    bundle = explained(loaded_tiny_bundle(tmp_path), latent=(4,))
    explainer, one = Explainer(bundle), series_like("beta", 100)
    rows = explainer.rows_of(one, 7)
    length = bundle.manifest.window_length
    assert rows[0] == length - 1
    assert rows[-1] == 99
    center = bundle.calibration.center[2]
    first = one.values[rows - length + 1] - center
    np.testing.assert_allclose(explainer.tell(one, rows)["latent"], first, atol=1e-5)
    assert len(explainer.rows_of(series_like("alpha", length - 1), 7)) == 0


def test_a_graph_that_tells_nothing_more_is_not_run(tmp_path: Path) -> None:
    explainer = Explainer(loaded_tiny_bundle(tmp_path))
    assert explainer.names == []
    assert explainer.tell(series_like(ENTITIES[0], 50), np.arange(20, 30)) == {}
