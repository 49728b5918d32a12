"""Pictures of predictions beside the truth of the held-out rows: residuals, or confusion and calibration."""

from collections import Counter
from statistics import mean
from typing import Any

from machine_learning_engineering.shared_libraries.monitoring.words import figure
from machine_learning_engineering.shared_libraries.report.evidence import Predictions
from machine_learning_engineering.shared_libraries.report.plots import NARROW, Figure, bar_chart
from machine_learning_engineering.shared_libraries.report.svg import draw

MOST_POINTS = 500  # of a scatter plot; more are sampled evenly
_LETTER = 8  # pixels of a label's letter, at most
_CLASSES = 12  # of a confusion matrix; the rarer ones are one


def prediction_figures(found: Predictions, name: str) -> list[Figure]:
    """Predictions beside the truth of the held-out rows, as the kind of problem asks."""
    if not found.classes:
        return [_against(found, name), _residuals(found)]
    return [_confusion(found), _calibration(found) if found.chances else _recall(found)]


def _against(found: Predictions, name: str) -> Figure:
    pairs = list(zip(found.truth, found.given, strict=True))
    values = [{"t": t, "p": p, "tip": f"true {figure(t)}, predicted {figure(p)}"} for t, p in _sampled(pairs)]
    low, high = min(map(min, pairs)), max(map(max, pairs))
    axis = {"type": "quantitative", "scale": {"domain": [low, high], "zero": False}}
    spec = {
        "width": NARROW,
        "height": 260,
        "layer": [
            {
                "data": {"values": [{"t": low, "p": low}, {"t": high, "p": high}]},
                "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [4, 4], "aria": False},
                "encoding": {"x": {"field": "t", **axis}, "y": {"field": "p", **axis}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "color": "var(--c1)", "opacity": 0.6, "size": 36},
                "encoding": {
                    "x": {"field": "t", "title": f"true {name}", **axis},
                    "y": {"field": "p", "title": "predicted", **axis},
                    "description": {"field": "tip"},
                },
            },
        ],
    }
    caption = f"{len(pairs)} held-out rows{_cut(pairs)}; on the dashed line a prediction is right."
    return Figure("Predicted against true", caption, draw(spec, f"Predicted against true values. {caption}"))


def _residuals(found: Predictions) -> Figure:
    pairs = list(zip(found.truth, found.given, strict=True))
    values = [{"p": p, "r": p - t, "tip": _off(t, p)} for t, p in _sampled(pairs)]
    errors = sorted(p - t for t, p in pairs)
    spec = {
        "width": NARROW,
        "height": 260,
        "data": {"values": values},
        "layer": [
            {
                "data": {"values": [{"z": 0}]},
                "mark": {"type": "rule", "color": "var(--muted)", "aria": False},
                "encoding": {"y": {"field": "z", "type": "quantitative"}},
            },
            {
                "mark": {"type": "point", "filled": True, "color": "var(--c2)", "opacity": 0.6, "size": 36},
                "encoding": {
                    "x": {"field": "p", "type": "quantitative", "title": "predicted", "scale": {"zero": False}},
                    "y": {"field": "r", "type": "quantitative", "title": "predicted - true"},
                    "description": {"field": "tip"},
                },
            },
        ],
    }
    shown = (mean(errors), errors[len(errors) // 4], errors[3 * len(errors) // 4])
    middle, low, high = (figure(error, 4, signed=True) for error in shown)
    caption = f"Mean error {middle}; half of the rows are off by {low} to {high}."
    return Figure("Residuals", caption, draw(spec, f"Residuals. {caption}"))


def _off(truth: float, given: float) -> str:
    return f"predicted {figure(given)}, off by {figure(given - truth, 5, signed=True)}"


def _confusion(found: Predictions) -> Figure:
    common = [label for label, _ in Counter(found.truth).most_common(_CLASSES)]
    shown = [label for label in found.classes if label in common]
    rest = len(shown) < len(found.classes)
    names = {label: label if label in shown else "(others)" for label in found.classes}
    order = [*shown, *(["(others)"] if rest else [])]
    counts = Counter((names[t], names[g]) for t, g in zip(found.truth, found.given, strict=True))
    totals = Counter(names[t] for t in found.truth)
    values = [
        {
            "t": t[:40],
            "g": g[:40],
            "n": counts[t, g],
            "share": counts[t, g] / max(totals[t], 1),
            "tip": f"true {t}, predicted {g}: {counts[t, g]} of {totals[t]}",
        }
        for t in order
        for g in order
    ]
    short = [label[:40] for label in order]
    size = max(24, min(90, 250 // len(order)))
    angle = -40 if max(map(len, short)) * _LETTER > size else 0
    x = {"field": "g", "type": "ordinal", "title": "predicted", "sort": short, "axis": {"labelAngle": angle}}
    y = {"field": "t", "type": "ordinal", "title": "true", "sort": short}
    opacity = {
        "field": "share",
        "type": "quantitative",
        "legend": None,
        "scale": {"domain": [0, 1], "range": [0.03, 0.5]},
    }
    spec = {
        "width": {"step": size},
        "height": {"step": size},
        "data": {"values": values},
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "mark": {"type": "rect", "color": "var(--c1)"},
                "encoding": {"opacity": opacity, "description": {"field": "tip"}},
            },
            {"mark": {"type": "text", "fontSize": 12, "aria": False}, "encoding": {"text": {"field": "n"}}},
        ],
    }
    right = sum(t == g for t, g in zip(found.truth, found.given, strict=True))
    caption = f"{right} of {len(found.truth)} held-out rows are right ({right / len(found.truth):.1%}).{_rule(found)}"
    return Figure("Confusion", caption, draw(spec, f"Confusion matrix. {caption}"))


def _rule(found: Predictions) -> str:
    """How chances became the classes of the confusion; nothing where the script gave classes itself."""
    if not found.chances:
        return ""
    if len(found.classes) > 2:
        return " A row counts as the class with the highest chance."
    return f" A row counts as {found.classes[-1][:40]} above a chance of 0.5; the score itself knows no such threshold."


def _calibration(found: Predictions) -> Figure:
    """Two classes: the chance of the last one; more: that of the predicted one."""
    binary = len(found.classes) == 2
    pairs = [
        (row[-1] if binary else max(row), (t == found.classes[-1]) if binary else (t == g))
        for row, t, g in zip(found.chances, found.truth, found.given, strict=True)
    ]
    bins: dict[int, list[tuple[float, bool]]] = {}
    for chance, hit in pairs:
        bins.setdefault(min(int(chance * 10), 9), []).append((chance, hit))
    values = [
        {
            "p": mean(chance for chance, _ in rows),
            "o": mean(float(hit) for _, hit in rows),
            "n": len(rows),
            "tip": f"predicted {mean(c for c, _ in rows):.0%}, happened {mean(float(h) for _, h in rows):.0%}, "
            f"{len(rows)} rows",
        }
        for _, rows in sorted(bins.items())
    ]
    off = sum(abs(sum(chance - hit for chance, hit in rows)) for rows in bins.values()) / len(pairs)
    what = f"chance of {found.classes[-1][:40]}" if binary else "chance of the predicted class"
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}, "axis": {"tickCount": 5}}
    spec = {
        "width": NARROW,
        "height": 260,
        "layer": [
            {
                "data": {"values": [{"p": 0, "o": 0}, {"p": 1, "o": 1}]},
                "mark": {"type": "line", "color": "var(--muted)", "strokeDash": [4, 4], "aria": False},
                "encoding": {"x": {"field": "p", **axis}, "y": {"field": "o", **axis}},
            },
            {
                "data": {"values": values},
                "mark": {"type": "point", "filled": True, "color": "var(--c1)", "opacity": 0.9},
                "encoding": {
                    "x": {"field": "p", "title": f"predicted {what}", **axis},
                    "y": {"field": "o", "title": "how often it was so", **axis},
                    "size": {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [40, 400]}},
                    "description": {"field": "tip"},
                },
            },
        ],
    }
    caption = f"On average a predicted chance is {off:.1%} off; on the dashed line it is right. Size: rows."
    return Figure("Calibration", caption, draw(spec, f"Calibration. {caption}"))


def _recall(found: Predictions) -> Figure:
    totals, hits = Counter(found.truth), Counter(t for t, g in zip(found.truth, found.given, strict=True) if t == g)
    shares = sorted(((hits[label] / n, label) for label, n in totals.items()))[:20]
    values = [
        {"label": label[:60], "n": n, "count": share, "tip": f"{label}: {hits[label]} of {totals[label]}"}
        for n, (share, label) in enumerate(shares)
    ]
    caption = f"Lowest: {shares[0][1]}, {shares[0][0]:.0%}."
    spec = bar_chart(values, "share of its rows that are found", "var(--c1)")
    return Figure("Recall by class", caption, draw(spec, f"Recall by class. {caption}"))


def _sampled(pairs: list[Any]) -> list[Any]:
    step = max(1, -(-len(pairs) // MOST_POINTS))
    return pairs[::step]


def _cut(pairs: list[Any]) -> str:
    return f", {len(_sampled(pairs))} of them drawn" if len(pairs) > MOST_POINTS else ""
