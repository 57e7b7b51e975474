"""A report in Markdown as one page, its pictures inside: headings, tables, lists, paragraphs.

Of a report nothing becomes markup but what is made here: all else is escaped text.
"""

import base64
import re
from collections.abc import Callable, Iterator
from html import escape
from typing import Final

PICTURE: Final = re.compile(r"!\[([^\]]*)\]\(([a-z0-9][a-z0-9_-]*\.png)\)")
HEADING: Final = re.compile(r"(#{1,3}) (.+)")
INLINE: Final = ((re.compile(r"`([^`]+)`"), "code"), (re.compile(r"\*([^*]+)\*"), "em"))
STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto;
  padding: 1rem 1rem 3rem; color: light-dark(#14213d, #e7ebf3);
  background: light-dark(#ffffff, #151c2a); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
p, li { max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 1rem 0.25rem 0; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
code { font-size: 0.92em; overflow-wrap: anywhere; }
"""
Picture = Callable[[str], bytes | None]


def report_page(text: str, *, picture: Picture) -> str:
    """The page; `picture` gives the bytes of a PNG that lies beside the report, by its name."""
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", text)]
    body = "\n".join(_block(block, picture) for block in blocks if block)
    found = HEADING.match(text.lstrip())
    title = escape(found[2] if found else "Report")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _block(block: str, picture: Picture) -> str:
    lines = block.splitlines()
    if found := HEADING.fullmatch(block):
        level = len(found[1])
        return f"<h{level}>{_inline(found[2])}</h{level}>"
    if found := PICTURE.fullmatch(block):
        return _picture(found[1], picture(found[2]))
    if all(line.startswith("|") for line in lines):
        return _table([_cells(line) for line in lines])
    if all(line.startswith("- ") for line in lines):
        return f"<ul>{''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)}</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _picture(alternative: str, content: bytes | None) -> str:
    if content is None:
        return f"<p>{escape(alternative)}: the picture is not in the folder.</p>"
    source = base64.b64encode(content).decode()
    return f'<p><img alt="{escape(alternative)}" src="data:image/png;base64,{source}"></p>'


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _table(rows: list[list[str]]) -> str:
    head, *others = (row for row in rows if not all(re.fullmatch(":?-+:?", cell) for cell in row))
    lines = "".join(f"<tr>{''.join(_tagged('td', row))}</tr>" for row in others)
    top = "".join(_tagged('th scope="col"', head))
    return f'<div class="wide"><table><tr>{top}</tr>{lines}</table></div>'


def _tagged(tag: str, cells: list[str]) -> Iterator[str]:
    return (f"<{tag}>{_inline(cell)}</{tag.partition(' ')[0]}>" for cell in cells)


def _inline(text: str) -> str:
    escaped = escape(text)
    for mark, tag in INLINE:
        escaped = mark.sub(rf"<{tag}>\1</{tag}>", escaped)
    return escaped
