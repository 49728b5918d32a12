"""What the agents that make the first solution are asked, and how a list of models is read."""

import re
from typing import Any

from machine_learning_engineering.shared_libraries.errors import ReplyFormatError
from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
    contract,
    described,
    fenced,
    goal,
    page,
    section,
    shown,
)
from machine_learning_engineering.shared_libraries.replies import code_of, fences, holds_code, json_of
from machine_learning_engineering.shared_libraries.tasks.card import ModelCard, TaskCard

ALL_USED = "All the provided information is used"

SUMMARIZE = """\
Summarise the task below for an engineer who will search for models that do well on it: what is predicted from what,
the kind and size of the data, the {goal}, and what makes the task special. Recommend no model."""

SUMMARIZE_REPLY = """\
## Reply

At most 120 words of plain text, one paragraph."""

RETRIEVE = """\
Name {wanted} recent models that are effective on the task below, judged by {goal}. Search the web if
you have a tool for it. Each model must be usable with the installed packages (`packages` on the card) and train within
the time limit of one script on {threads} threads. Make them differ in kind, not only in settings, and put the most
promising first."""

UNUSUAL = "\nOther teams try the most common choices; look for strong models that they will miss."

RETRIEVE_REPLY = """\
## Reply

A JSON list of exactly {wanted} objects and nothing else. `example_code` is short Python that builds, fits and uses the
model, not a link; `model_description` says in one or two sentences why it suits the task; `source` is the URL where you
found it, or "".

[{{"model_name": "...", "example_code": "...", "model_description": "...", "source": "..."}}]"""

CANDIDATE = """\
Write a first solution of the task below with exactly the model that is given. Keep it simple: sound preprocessing, the
model with sensible settings, no ensemble, no hyperparameter search. The example code shows how the model is used; it
need not fit the data."""

MERGE = """\
Merge two solutions. Keep `{base}` as the code base and train the model of `{reference}` in it as well, with the
features that model needs. Keep like steps together: read, prepare and split the data once for both. The prediction is
the simple average of both models' predictions. Stay simple."""

DATA_USE = """\
Check whether the solution below uses all the information that the task provides: every column of the task card, every
file that the description mentions, and what the description says of their meaning. If something useful is left out, add
it to the solution and change nothing else."""

DATA_USE_REPLY = f"""\
## Reply

If nothing useful is left out, this sentence alone: {ALL_USED}.
Otherwise exactly one fenced code block, opened with its language `python`, that holds the whole improved program, and
no text around it."""


def render_summarize(card: TaskCard, description: str) -> str:
    task = SUMMARIZE.format(goal=goal(card))
    return page(card, "summarize", task, described(description), reply=SUMMARIZE_REPLY)


def render_retrieve(card: TaskCard, summary: str) -> str:
    """The prompt for `card.wanted` models; later solutions are asked for less common ones."""
    if card.wanted < 1:
        raise ValueError("a retrieve prompt needs card.wanted, the number of models to name")
    task = RETRIEVE.format(wanted=card.wanted, goal=goal(card), threads=card.threads)
    task += UNUSUAL if card.solution > 1 else ""
    about = section("Task summary", fenced(summary) if summary.strip() else "There is none; see the task card.")
    return page(card, "retrieve", task, about, reply=RETRIEVE_REPLY.format(wanted=card.wanted))


def render_candidate(card: TaskCard, description: str) -> str:
    """The prompt for a first script with one model. Raises: ValueError if `card.model` is missing."""
    if card.model is None:
        raise ValueError("a candidate prompt needs card.model")
    sections = [described(description), _model_shown(card.model), contract(card)]
    return page(card, "candidate", CANDIDATE, *sections, reply=RESPONSE_FORMAT)


def render_merge(card: TaskCard, base: str, reference: str) -> str:
    """The prompt for one script that averages the models of two; `card.scripts` names base and reference."""
    scripts = shown(card, base, reference)
    task = MERGE.format(base=card.scripts[0].name, reference=card.scripts[1].name)
    return page(card, "merge", task, scripts, contract(card), reply=RESPONSE_FORMAT)


def render_data_use(card: TaskCard, description: str, code: str) -> str:
    return page(
        card, "data_use", DATA_USE, described(description), shown(card, code), contract(card), reply=DATA_USE_REPLY
    )


class TooFewModels(ReplyFormatError):
    """A reply named fewer usable models than asked for: `models`."""

    def __init__(self, models: list[ModelCard], wanted: int) -> None:
        super().__init__(f"The reply names {len(models)} different models with a name and example code; name {wanted}.")
        self.models = models


def parse_candidates(reply: str, wanted: int) -> list[ModelCard]:
    """The first `wanted` models of a reply that have a name and code, each once.

    Raises: TooFewModels if there are fewer; ReplyFormatError if the reply holds no list of models.
    """
    found: dict[str, ModelCard] = {}
    for one in _named_models(reply):
        if (model := _model(one)) is not None:
            found.setdefault(model.model_name.casefold(), model)
    if len(found) < wanted:
        raise TooFewModels(list(found.values()), wanted)
    return list(found.values())[:wanted]


def _named_models(reply: str) -> list[dict[str, Any]]:
    """The objects of a reply that look like models, else those that it has, also one list deeper."""
    try:
        return json_of(reply, keys=("model_name", "example_code"))
    except ReplyFormatError:
        found = json_of(reply)
    deeper = [value for one in found for value in one.values() if isinstance(value, list)]
    return [one for value in deeper for one in value if isinstance(one, dict)] or found


def all_data_used(reply: str) -> bool:
    """Whether a reply says that nothing was left out, and gives no new program."""
    said = re.search(rf"(?<!not ){re.escape(ALL_USED.casefold())}", " ".join(reply.casefold().split()))
    return said is not None and not any(holds_code(fence.text) for fence in fences(reply))


def _model(named: dict[str, Any]) -> ModelCard | None:
    """The model that an object names; None if it lacks its name or code."""
    fields = {key: str(named.get(key) or "").strip() for key in ModelCard.model_fields}
    if fences(fields["example_code"]):
        try:
            fields["example_code"] = code_of(fields["example_code"])
        except ReplyFormatError:
            return None
    return ModelCard(**fields) if fields["model_name"] and fields["example_code"] else None


def _model_shown(model: ModelCard) -> str:
    about = "\n".join(filter(None, [model.model_name, model.model_description]))
    return section("Model", f"{fenced(about)}\n\n{fenced(model.example_code)}")


def model_file(model: ModelCard, sources: list[str]) -> str:
    """What people read of a model that was found, with the pages that a search gave."""
    found = [source for source in dict.fromkeys([model.source, *sources]) if source]
    about = f"# Model\n{model.model_name}\n\n# Example code\n{model.example_code}\n"
    return about + "".join(["\n# Source\n", *(f"{source}\n" for source in found)] if found else [])
