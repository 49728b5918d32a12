"""Vega-Lite specifications drawn as inline SVG that takes its colours from the page and holds nothing but shapes.

Drawing happens here, at build time: the page needs no plotting script, and follows light, dark and print by CSS alone.
"""

import re
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from machine_learning_engineering.shared_libraries.report.painter import PAINTER

_TAGS = {"svg", "g", "path", "line", "rect", "text", "circle"}
_ATTRIBUTES = {
    *("viewBox", "width", "height", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "dx", "dy"),
    *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity"),
    *("text-anchor", "font-size", "font-weight", "font-family", "display"),
}
_TIP = "aria-label"
_COLOUR = re.compile(r"none|transparent|#[0-9a-fA-F]{3,8}|var\(--[a-z0-9-]+\)|[a-z]+")
_AXIS = {
    "labelColor": "var(--muted)",
    "titleColor": "var(--muted)",
    "gridColor": "var(--line)",
    "domainColor": "var(--line)",
    "tickColor": "var(--line)",
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "titlePadding": 8,
    "labelLimit": 150,
    # Widths are taken from a font that the reader may not have; others are up to a fifth wider.
    "labelSeparation": 12,
    "labelFlush": False,
}
_LEGEND = {
    "labelColor": "var(--ink)",
    "labelFontSize": 12,
    "title": None,
    "orient": "bottom",
    "columns": 4,
    "columnPadding": 20,
}
_CONFIG = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": _AXIS,
    "legend": _LEGEND,
    "text": {"color": "var(--ink)"},
    "aria": True,
}


def draw(spec: dict[str, Any], label: str) -> Markup:
    """The picture of a specification, with `label` for those who do not see it. Texts in it may be hostile."""
    return clean(PAINTER.svg({"background": None, "padding": 4, "config": _CONFIG, **spec}), label)


def clean(svg: str, label: str) -> Markup:
    """An SVG with only known shapes and attributes; what a mark is about becomes its `data-tip`."""
    root = ElementTree.fromstring(svg)
    _strip(root)
    root.attrib |= {"role": "img", "aria-label": label}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _strip(element: ElementTree.Element) -> None:
    element.tag = _local(element.tag)
    tip = element.attrib.get(_TIP) if element.attrib.get("role") == "graphics-symbol" else None
    is_mark = tip is not None and element.attrib.get("aria-roledescription") not in ("axis", "legend", "title")
    kept = {name: value for name, value in element.attrib.items() if name in _ATTRIBUTES and _plain(name, value)}
    element.attrib.clear()
    element.attrib.update(kept | ({"data-tip": tip} if is_mark and tip else {}))
    for child in list(element):
        if _local(child.tag) in _TAGS and not _is_empty(child):
            _strip(child)
        else:
            element.remove(child)


def _is_empty(element: ElementTree.Element) -> bool:
    """Whether it is one of the backgrounds and frames that Vega draws without a line or a fill."""
    if _local(element.tag) != "path" or element.attrib.get("role"):
        return False
    return not ({"fill", "stroke"} & set(element.attrib)) or not element.attrib.get("d")


def _local(tag: Any) -> str:
    return str(tag).rpartition("}")[2]


def _plain(name: str, value: str) -> bool:
    return _COLOUR.fullmatch(value) is not None if name in ("fill", "stroke") else "url(" not in value
