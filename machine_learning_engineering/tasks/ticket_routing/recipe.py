"""Support tickets of a web shop, put together from phrases.

What a ticket asks for is one phrase among several. The others share its words: things that are settled, things that the
customer does not want, thanks and small talk. So counting words goes some way, and word pairs and context go further.
"""

import numpy as np
import pandas as pd

ROWS = 3000
WRONG_LABELS = 0.05
TYPOS = 0.015  # per letter
SHARES = {"delivery": 0.28, "billing": 0.22, "returns": 0.18, "account": 0.14, "technical": 0.12, "sales": 0.06}
CHANNELS = ("email", "chat", "phone note")

THINGS = ("kettle", "lamp", "jacket", "headphones", "desk", "router", "blender", "printer", "backpack", "monitor")
WANTS = {
    "delivery": (
        "my {thing} has not arrived", "the parcel with the {thing} is late", "where is my {thing}",
        "the courier left the {thing} with nobody", "tracking says delivered but there is no {thing}",
        "please change the address for the {thing}", "I still wait for the {thing} I paid for",
        "the order is stuck since {days} days",
    ),
    "billing": (
        "I was charged twice for the {thing}", "the invoice for the {thing} is wrong",
        "my card was declined for the {thing}", "the discount is missing on the {thing} invoice",
        "please correct the company name on the invoice", "you took the money {days} days ago and again today",
        "the price on my card is not the price of the order", "I need a receipt for the {thing}",
    ),
    "returns": (
        "I want to send the {thing} back", "the {thing} arrived broken, I would like my money back",
        "how do I return the {thing}", "please exchange the {thing} for another size",
        "the {thing} is not what I ordered", "when do I get the refund for the {thing}",
        "the return label for the {thing} is missing", "I changed my mind about the {thing}",
    ),
    "account": (
        "I cannot log in to my account", "the password link does not arrive", "please delete my account",
        "change the email address of my account", "someone else placed an order with my account",
        "my account is locked since {days} days", "the login code is wrong every time", "merge my two accounts",
    ),
    "technical": (
        "the {thing} does not turn on", "the {thing} stopped working after {days} days",
        "the app crashes when I open my order", "how do I set up the {thing}", "the {thing} shows an error",
        "the {thing} keeps losing the connection", "the page stays white when I pay", "the update broke my {thing}",
    ),
    "sales": (
        "do you have the {thing} in blue", "when is the {thing} back in stock", "is there a discount for {days} pieces",
        "can I order the {thing} without an account", "which {thing} fits a small room",
        "how long would delivery of the {thing} take", "what does the {thing} cost with the update",
        "is the price of the {thing} with tax",
    ),
}  # fmt: skip
SETTLED = (
    "It is not that {want}.", "Last month it was that {want}, that is solved.", "My neighbour says {want}, not me.",
    "I do not write because {want}.", "Your colleague already helped when {want}.", "No longer true: {want}.",
)  # fmt: skip
ASKED = (
    "{want}.", "Hello, {want}.", "{want}, please help.", "The problem is: {want}.", "I write because {want}.",
    "This time {want}.", "Now {want}.", "{want}!!",
)  # fmt: skip
TALK = (
    "Thanks in advance.", "I have been a customer for {days} years.", "This is the second time I write.",
    "Please answer today.", "I ordered on the app.", "The {thing} was a present.", "Nobody picks up the phone.",
    "Otherwise I am happy with the {thing}.", "I find this disappointing.", "My order number is {number}.",
    "Kind regards", "I looked at your help page and my account, without luck.", "The refund last year went well.",
)  # fmt: skip


def make(rng: np.random.Generator) -> pd.DataFrame:
    """The full table, target included."""
    teams = list(SHARES)
    wanted = rng.choice(teams, ROWS, p=list(SHARES.values()))
    recorded = np.where(rng.random(ROWS) < WRONG_LABELS, rng.choice(teams, ROWS, p=list(SHARES.values())), wanted)
    return pd.DataFrame(
        {
            "message": [_message(rng, team) for team in wanted],
            "channel": [_channel(rng, team) for team in wanted],
            "team": recorded,
        }
    )


def _message(rng: np.random.Generator, team: str) -> str:
    others = [other for other in WANTS if other != team]
    parts = [_pick(rng, ASKED).replace("{want}", _pick(rng, WANTS[team]))]
    for _ in range(rng.choice(3, p=[0.35, 0.45, 0.2])):
        parts.append(_pick(rng, SETTLED).replace("{want}", _pick(rng, WANTS[_pick(rng, others)])))
    parts += [_pick(rng, TALK) for _ in range(rng.integers(1, 4))]
    return _mistype(rng, " ".join(_fill(rng, parts[n]) for n in rng.permutation(len(parts))))


def _pick(rng: np.random.Generator, among: "tuple[str, ...] | list[str]") -> str:
    return among[rng.integers(len(among))]


def _fill(rng: np.random.Generator, text: str) -> str:
    return text.format(thing=_pick(rng, THINGS), days=rng.integers(2, 20), number=rng.integers(10_000, 99_999))


def _mistype(rng: np.random.Generator, text: str) -> str:
    """The text with some letters left out or swapped with the next, and sometimes without capitals."""
    letters = list(text.lower() if rng.random() < 0.3 else text)
    for n in np.flatnonzero(rng.random(len(letters) - 1) < TYPOS):
        if letters[n].isalpha() and letters[n + 1].isalpha():
            letters[n : n + 2] = (letters[n + 1], letters[n]) if rng.random() < 0.5 else ("", letters[n + 1])
    return "".join(letters)


def _channel(rng: np.random.Generator, team: str) -> str:
    urgent = team in ("account", "technical")
    return str(rng.choice(CHANNELS, p=[0.3, 0.5, 0.2] if urgent else [0.55, 0.25, 0.2]))
