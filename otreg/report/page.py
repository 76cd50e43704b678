"""One page with everything in it: the viewer, its data, the numbers, and plotly's program, so that it needs no network.

The page's own text goes through a template that escapes whatever files and folders are called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import otreg
from otreg.io import atomic_write
from otreg.report.plots import Plot


@dataclass(frozen=True)
class Table:
    """A table of the page: its title, the heads of its columns, its rows as texts, a sentence below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Listing:
    """Names and values that unfold when somebody asks for them."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """What a page says. scene: see ``otreg.report.scene.scene``; status, converged: "" and True where nothing was
    solved; advice: warnings and notes, one sentence each; view_text: what the view shows, for those who do not see it.
    """

    title: str
    scene: Mapping[str, Any]
    view_text: str
    status: str = ""
    converged: bool = True
    advice: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    lists: tuple[Listing, ...] = ()


def write_page(page: Page, path: Path, *, overwrite: bool = False) -> None:
    """Writes the page as one HTML file, whole or not at all. Raises OutputFileError."""
    text = html_of(page)
    with atomic_write(path, overwrite=overwrite) as temporary:
        # Names of files need not be UTF-8; Python carries their other bytes as surrogates.
        temporary.write_text(text, encoding="utf-8", errors="replace")


def html_of(page: Page) -> str:
    """The page as HTML."""
    from markupsafe import Markup

    payload = {"scene": page.scene, "plots": [plot.to_dict() for plot in page.plots]}
    flat = page.scene["dimension"] == 2
    keys = "arrow keys move, plus and minus zoom" if flat else "arrow keys turn, plus and minus zoom"
    return template("page.html").render(
        title=page.title,
        status=page.status,
        converged=page.converged,
        advice=page.advice,
        scene=page.scene,
        view_label=f"{2 if flat else 3}-D view of the shapes; {keys}, 0 resets",
        view_text=f"{page.view_text} With the view in focus, {keys}, 0 resets.",
        tables=page.tables,
        plots=page.plots,
        lists=page.lists,
        footer=f"Written by otreg {otreg.__version__}. This file needs no network.",
        style=Markup(resource("page.css")),
        data=Markup(script_json(payload)),
        plotly=Markup(_plotly()),
        viewer=Markup(resource("viewer.js")),
    )


def script_json(value: Any) -> str:
    """JSON that may stand in a <script>: nothing in it ends the element or opens a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def template(name: str) -> Any:
    """A Jinja template of this folder, which escapes all values that are not marked as HTML."""
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined).from_string(resource(name))


@cache
def resource(name: str) -> str:
    """The text of a file of this folder."""
    return files(__package__ or "otreg.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def rows_of(values: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    """Nested settings as names like "source.path" and texts."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += rows_of(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            rows.append((f"{prefix}{name}", ", ".join(map(str, value)) or "none"))
        else:
            rows.append((f"{prefix}{name}", "none" if value is None else str(value)))
    return rows
