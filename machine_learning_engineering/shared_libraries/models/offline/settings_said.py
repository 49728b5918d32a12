"""Settings of a run said in words: `20 minutes, three rounds, accuracy, seed 3, with gpt-4o, target price`."""

import re
from typing import Any

from machine_learning_engineering.shared_libraries.tasks.metrics import metric_in

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: n for n, word in enumerate(_ONES, 1)} | {word: 10 * n for n, word in enumerate(_TENS, 2)} | {
    "no": 0, "zero": 0, "a": 1, "an": 1, "single": 1, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15,
}  # fmt: skip
_TWO_WORDS = rf"(?:{'|'.join(_TENS)})[ -](?:{'|'.join(_ONES)})"
_WHOLE = rf"\d+(?:\.\d+)?|{_TWO_WORDS}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))}"
_COUNT = rf"(?P<count>half(?: an?)?|(?:{_WHOLE})(?: and a half)?)"
_MINUTES_OF = {"s": 1 / 60, "m": 1.0, "h": 60.0}
_NAME = r"[:=]?\s*(?P<name>\"[^\"]+\"|'[^']+'|`[^`]+`|[^\s,;]+)"
# Families of models by how their names begin, and the provider to ask where none was said.
_FAMILIES = {"gpt": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "grok": "xai"}
_MODEL = rf"offline|scripted/\S+|(?:{'|'.join(_FAMILIES)}|gemini|gemma)[\w./:-]*|[a-z][\w-]*/[\w./:-]+"

_TARGET = re.compile(rf"\b(?:the )?(?:target|predict(?:ing)?)(?: the)?(?: column)?(?: is| of)?\s*{_NAME}", re.I)
_TEST = re.compile(r"\b(?:the )?test(?: file| data| rows)?(?: is| in| from)?\s+(?P<name>\S+\.[ct]sv(?:\.gz)?)", re.I)
_METRIC = re.compile(rf"\b(?:the )?metric(?: is)?\s*{_NAME}", re.I)
_SEED = re.compile(r"\b(?:the )?(?:random )?seed(?: is| of| =)?\s*(?P<count>\d+)", re.I)
_SCRIPT_SECONDS = (
    re.compile(rf"\btime-?out(?: is| of)?\s+{_COUNT}(?:\s*s(?:ec(?:ond)?s?)?)?\b", re.I),
    re.compile(rf"\b{_COUNT}\s+seconds? (?:per|a|for each) script", re.I),
)
_SPECIAL_TIMES = (
    (re.compile(r"\b(?:a )?quarter (?:of an )?hour\b", re.I), 15.0),
    (re.compile(r"\bthree quarters of an hour\b", re.I), 45.0),
)
_UNIT = r"s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?"
_TIME = re.compile(rf"\b{_COUNT}\s*-?\s*(?P<unit>{_UNIT})\b(?P<half> and a half\b)?", re.I)
_LOOP = re.compile(rf"\b{_COUNT}\s+(?:refinement\s+|model\s+)?(?P<unit>round|step|solution|candidate|model)s?\b", re.I)
_LOOPS = {
    "round": "rounds",
    "step": "rounds",
    "solution": "solutions",
    "candidate": "candidates",
    "model": "candidates",
}
_BY_MODEL = re.compile(rf"\b(?:with|using|by|model)(?: the)?(?: model)?(?: is)?\s+(?P<name>{_MODEL})(?=[\s,;]|$)", re.I)
_ANY_MODEL = re.compile(r"\bmodel(?: is)?\s+(?P<name>\S+)", re.I)
_BACKGROUND = re.compile(r"\bin the background\b|\bwithout following\b|\b(?:do not|don't) follow\b", re.I)


def settings_said(text: str) -> tuple[dict[str, Any], str]:
    """The settings that a sentence names, by the names of the tool's arguments, and what is left of the sentence."""
    found: dict[str, Any] = {}

    def take(pattern: re.Pattern[str], keep: Any) -> None:
        nonlocal text
        while match := pattern.search(text):
            found.update(keep(match))
            text = f"{text[: match.start()]} ; {text[match.end() :]}"

    take(_BACKGROUND, lambda match: {"follow": False})
    take(_TEST, lambda match: {"test": _name(match)})
    take(_TARGET, lambda match: {"target": _name(match)})
    take(_METRIC, lambda match: {"metric": _name(match)})
    take(_SEED, lambda match: {"seed": int(match["count"])})
    for pattern in _SCRIPT_SECONDS:
        take(pattern, lambda match: {"script_seconds": round(_number(match["count"]))})
    for pattern, minutes in _SPECIAL_TIMES:
        take(pattern, lambda match, minutes=minutes: {"minutes": minutes})
    take(_LOOP, lambda match: {_LOOPS[match["unit"].lower()]: int(_number(match["count"]))})
    take(_TIME, lambda match: {"minutes": _minutes(match, found.get("minutes", 0.0))})
    take(_BY_MODEL, lambda match: {"model": _full_name(_name(match))})
    take(_ANY_MODEL, lambda match: {"model": _full_name(_name(match))})
    if "metric" not in found and (metric := metric_in(f"metric {text}")):
        found["metric"] = metric.name
    return found, " ".join(text.split())


def _minutes(match: re.Match[str], earlier: float) -> float:
    """Minutes, added to those said before: `1 hour 30 minutes`."""
    count = _number(match["count"]) + (0.5 if match["half"] else 0)
    return round(earlier + count * _MINUTES_OF[match["unit"][0].lower()], 3)


def _number(words: str) -> float:
    """What `3`, `twenty-five`, `two and a half` or `half an` count."""
    if words.lower().startswith("half"):
        return 0.5
    whole, half, _ = words.lower().partition(" and a half")
    return sum(float(_NUMBERS.get(word, word)) for word in re.split("[ -]", whole)) + (0.5 if half else 0)


def _full_name(model: str) -> str:
    """A model's name with its provider: `gpt-4o` is openai/gpt-4o."""
    family = next((family for family in _FAMILIES if model.lower().startswith(family)), "")
    return f"{_FAMILIES[family]}/{model}" if family and "/" not in model else model


def _name(match: re.Match[str]) -> str:
    """A name without its quotes and the full stop of the sentence."""
    name = str(match["name"])
    return name[1:-1] if name[0] in "\"'`" else name.rstrip(".!?")
