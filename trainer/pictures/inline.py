"""A figure as inline SVG: short, without fonts of its own, in the colours of the page around it."""

import re
from collections.abc import Iterable
from html import escape
from io import StringIO

import matplotlib as mpl
from matplotlib.axes import Axes

from trainer.pictures.ink import STYLE, VARIABLES

METADATA = re.compile(r"<(metadata|style)\b.*?</\1>", re.DOTALL)
TAG = re.compile(r"<[a-zA-Z][^>]*>")  # names of dimensions stand between tags, escaped
DROPPED = re.compile(
    r"(?<=<g) id=\"[^\"]*\""  # nothing refers to groups
    r"|font-family: [^;\"]*; ?"  # that of the page
    r"| transform=\"rotate\(-?0 [^\"]*\""
)
INKED = re.compile(r'<path id="([^"]*)"[^>]* style="stroke')  # whose own strokes count in any case
STROKE = re.compile(r"(?:; )?stroke[a-z-]*: [^;\"]*")
PLACES = re.compile(r' (?:x|y|points)="[^"]*"')
NUMBER = re.compile(r"-?\d+\.\d{2,}")
PATH = re.compile(r' d="([^"]*)"')
GROUP = re.compile(r"</?g\b[^>]*>")
SEGMENT = re.compile(r"([MLz])(?: (\S+) (\S+))?")

Step = tuple[int, int]  # tenths of a point


def svg(axes: Axes, name: str, alt: str) -> str:
    """The figure of `axes` as inline SVG; `name` keeps its ids apart from those of others."""
    figure, text = axes.get_figure(root=True), StringIO()
    assert figure is not None
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    body = METADATA.sub("", drawn[drawn.index(">") + 1 :])
    inked = frozenset(INKED.findall(body))
    body = TAG.sub(lambda tag: _short(_bare(tag[0], inked), name), body)
    body = re.sub(r"\s*\n\s*", "\n", _ungrouped(body))
    width, height = (72 * inches for inches in figure.get_size_inches())
    return (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width:g} {height:g}">\n{body}'
    ).rstrip()


def _bare(tag: str, inked: frozenset[str]) -> str:
    """A tag; without strokes where it uses a path that has them."""
    used = re.match(r'<use xlink:href="#([^"]*)"', tag)
    return STROKE.sub("", tag) if used and used[1] in inked else tag


def _short(tag: str, name: str) -> str:
    """A tag in colours of the page, its coordinates to a tenth of a point, paths as steps."""
    tag = DROPPED.sub("", tag)
    for color, variable in VARIABLES.items():
        tag = tag.replace(color, f"var({variable})")
    tag = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", tag).replace("xlink:href", "href")
    tag = PLACES.sub(lambda place: _rounded(place[0]), tag)
    return PATH.sub(lambda path: f' d="{path_of(path[1])}"', tag)


def _ungrouped(body: str) -> str:
    """Without groups that say nothing."""
    silent: list[bool] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0].endswith("/>"):
            return ""
        if tag[0] == "</g>":
            return "" if silent.pop() else tag[0]
        silent.append(tag[0] == "<g>")
        return "" if silent[-1] else tag[0]

    return GROUP.sub(kept, body)


def _rounded(text: str) -> str:
    return NUMBER.sub(lambda found: f"{float(found[0]):.1f}", text)


def path_of(path: str) -> str:
    """The same path in steps from point to point, those in one direction taken together."""
    if re.search("[A-Za-z]", path.translate(str.maketrans("", "", "MLz"))):
        return _rounded(" ".join(path.split()))  # it has curves
    made, steps, at = [], list[Step](), (0, 0)
    for command, x, y in SEGMENT.findall(path):
        if command != "L":
            made.append(_steps(steps))
            steps = []
        if command == "z":
            made.append("z")
            continue
        before, at = at, (round(10 * float(x)), round(10 * float(y)))
        if command == "M":
            made.append(f"M{_joined(at)}")
        else:
            _add(steps, (at[0] - before[0], at[1] - before[1]))
    return "".join([*made, _steps(steps)])


def _add(steps: list[Step], step: Step) -> None:
    """Put `step` behind the others, or make the last one longer."""
    if steps:
        (a, b), (x, y) = steps[-1], step
        if a * y == b * x and a * x + b * y >= 0:
            steps[-1] = (a + x, b + y)
            return
    steps.append(step)


def _steps(steps: list[Step]) -> str:
    return f"l{_joined(one for step in steps for one in step)}" if steps else ""


def _joined(values: Iterable[int]) -> str:
    """Tenths behind one another, apart where they would not be told apart."""
    made = [""]
    for value in values:
        text = _tenths(value)
        is_apart = text[0] == "-" or (text[0] == "." and "." in made[-1]) or len(made) == 1
        made.append(text if is_apart else f" {text}")
    return "".join(made)


def _tenths(value: int) -> str:
    """An integer number of tenths, without what need not be said."""
    sign, (whole, tenth) = "-" * (value < 0), divmod(abs(value), 10)
    return f"{sign}{whole or ''}.{tenth}" if tenth else f"{sign}{whole}"
