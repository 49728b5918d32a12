"""The offline model's answer to each step: a function of the task card and of the fenced code of the prompt."""

import json
import re
from collections.abc import Callable, Mapping, Sequence

from machine_learning_engineering.shared_libraries.models.offline import design, words
from machine_learning_engineering.shared_libraries.models.offline.moves import Move, is_dropping, moves, old_text
from machine_learning_engineering.shared_libraries.models.offline.program import (
    Part,
    Program,
    compose,
    cut,
    merge,
    parse,
)
from machine_learning_engineering.shared_libraries.tasks.card import Step, TaskCard

Codes = Sequence[str]


def fenced(text: str, language: str = "python") -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _program(card: TaskCard, codes: Codes, place: int = 0) -> Program:
    """The fenced script at this place, or the library's own best start where it is missing or not ours."""
    known = parse(codes[place]) if place < len(codes) else None
    return known or design.script(card, design.for_solution(card, card.solution, 2))


# --- Initialization ---------------------------------------------------------------------------------------------------


def summarize(card: TaskCard, codes: Codes) -> str:
    return words.summary(card)


def retrieve(card: TaskCard, codes: Codes) -> str:
    cards = [
        {
            "model_name": design.offer_title(offer),
            "example_code": cut(card.problem, *offer[:2]).text,
            "model_description": words.description(card, *offer[:2]),
            "source": "recipe library",
        }
        for offer in design.offers(card, card.solution, max(card.wanted, 1))
    ]
    return fenced(json.dumps(cards, indent=1), "json")


_FAMILIES = (
    ("words_linear", r"tf.?idf|bag.of.words"),
    ("hist_boosting", r"hist"),
    ("lightgbm", r"lightgbm|lgbm|xgboost|catboost|boost"),
    ("extra_trees", r"extra|extremely"),
    ("random_forest", r"forest|bagg"),
    ("kernel", r"support.vector|svm|svr|svc|kernel|gaussian.process"),
    ("neighbours", r"neighbou?r|knn"),
    ("network", r"neural|network|mlp|tabnet|transformer|perceptron"),
    ("linear", r"linear|ridge|lasso|logistic|elastic"),
)


def family(card: TaskCard) -> str:
    """The family that a model card asks for, or the next best one where the library has none like it."""
    order = design.ranking(card)
    name = (card.model.model_name if card.model else "").lower()
    for found, pattern in _FAMILIES:
        if re.search(pattern, name):
            usable = found if found != "lightgbm" or "lightgbm" in card.packages else "hist_boosting"
            return usable if usable != "words_linear" or design.of_kind(card, "text") else "linear"
    return order[card.attempt % len(order)]


def candidate(card: TaskCard, codes: Codes) -> str:
    named = card.model.model_name if card.model else ""
    for offer in design.offers(card, 1, design.MANY):
        if design.offer_title(offer) == named:
            return fenced(design.offered_script(card, offer).render())
    return fenced(design.script(card, [family(card)]).render())


def combine(card: TaskCard, codes: Codes) -> str:
    """One program with the models of all the fenced scripts; with one more family where they are all the same."""
    programs = [program for code in codes if (program := parse(code))] or [_program(card, codes)]
    whole = programs[0]
    for other in programs[1:]:
        whole = merge(whole, other)
    if len(whole.listed("MODELS")) == len(programs[0].listed("MODELS")):
        whole = _with_next_model(card, whole)
    return fenced(_retitled(card, whole, card.plan).render())


def _with_next_model(card: TaskCard, program: Program) -> Program:
    have = {re.sub(r"_\d+$", "", name) for name in program.listed("MODELS")}
    lacking = [name for name in design.ranking(card) if name not in have]
    return merge(program, design.script(card, lacking[:1], only=program.listed("FEATURES"))) if lacking else program


def _retitled(card: TaskCard, program: Program, plan: str) -> Program:
    chosen = words.weights_of(plan)
    if chosen is None:
        chosen = design.variants(card).get("blend_weights", "")
    part = cut(card.problem, "blend_weights", chosen)
    families = dict.fromkeys(re.sub(r"_\d+$", "", name) for name in program.listed("MODELS"))
    return design.titled(card, program.with_parts(part).pruned(), list(families))


def data_use(card: TaskCard, codes: Codes) -> str:
    return "All the provided information is used."


# --- Ablation and refinement ------------------------------------------------------------------------------------------


def ablation(card: TaskCard, codes: Codes) -> str:
    program = _program(card, codes)
    told = " ".join(card.notes)
    blocks = [name for name in program.listed("FEATURES") if name != "numbers"]
    blocks.sort(key=lambda name: told.count(name))
    given = [
        *(part for part in program.parts if part.name not in ("main", "write_submission")),
        Part("COMPONENTS", f"COMPONENTS = [{', '.join(blocks[:3])}]", "Ablation"),
        Part("MAXIMIZE", f"MAXIMIZE = {card.metric.maximize}", "Ablation"),
    ]
    variants = design.variants(card) | {"main": "ablation"}
    doc = f"What each part of the solution contributes to {card.metric.title}."
    return fenced(compose(doc, card.problem, variants, given).pruned().render())


def ablation_summary(card: TaskCard, codes: Codes) -> str:
    return words.effects(card)


def _choose(card: TaskCard, program: Program) -> Move | None:
    """The move to make next: on a block not refined before that leaves room for a second plan; features that the
    ablation found harmful go first; then a blend of fewer than three models grows, since nothing lowers the error as
    reliably; then what the ablation found important."""
    told, known = "\n".join(card.notes), moves(card, program)
    order, few = words.important(card), len(program.listed("MODELS")) < 3

    def rank(move: Move) -> tuple[bool, bool, bool, bool, int]:
        refined = any(f"def {name}(" in told or f"{name} = " in told for name in move.blocks)
        alone = sum(other.blocks == move.blocks for other in known) < 2
        hits = [order.index(name) for name in move.blocks if name in order]
        grows = few and move.blocks == ("MODELS",)
        return refined, not is_dropping(move), not grows, alone, min(hits, default=len(order))

    return min(known, key=rank, default=None)


def plan(card: TaskCard, codes: Codes) -> str:
    program = parse(codes[0]) if codes else None
    move = _choose(card, program) if program else None
    if program is None or move is None:
        answer = {"code_block": codes[0] if codes else "", "plan": words.REWRITE}
    else:
        answer = {"code_block": old_text(move, program), "plan": move.plan}
    return fenced(json.dumps([answer], indent=1), "json")


def _moves_of(card: TaskCard, codes: Codes) -> tuple[Program, list[Move]]:
    """The moves on the fenced block (the last code shown) of the fenced script, or of the library's own start."""
    program, block = _program(card, codes), codes[-1] if codes else ""
    names = set(re.findall(r"^(?:def )?(\w+)(?:\(| = )", block, re.MULTILINE))
    known = [move for move in moves(card, program) if set(move.blocks) <= names]
    return program, known


def refine_plan(card: TaskCard, codes: Codes) -> str:
    tried = {result.plan for result in card.plans}
    _, known = _moves_of(card, codes)
    fresh = [move for move in known if not any(move.title in text for text in tried)]
    return fresh[0].plan if fresh else words.REWRITE


def implement(card: TaskCard, codes: Codes) -> str:
    program, known = _moves_of(card, codes)
    named = [move for move in known if move.title in card.plan]
    if named or known:
        move = named[0] if named else known[card.attempt % len(known)]
        return fenced(move.write(card, program))
    if codes and parse(codes[-1]) is None and len(codes) > 1 and codes[0].strip() != codes[-1].strip():
        return fenced(codes[-1])
    return combine(card, [program.render()])


# --- Ensemble and submission ------------------------------------------------------------------------------------------


def ensemble_plan(card: TaskCard, codes: Codes) -> str:
    return words.ensemble_plans(card)[0]


def refine_ensemble_plan(card: TaskCard, codes: Codes) -> str:
    plans = words.ensemble_plans(card)
    return plans[max(1, len(card.plans)) % len(plans)]


def submission(card: TaskCard, codes: Codes) -> str:
    program = parse(codes[0]) if codes else None
    return fenced(program.render()) if program else simple(card)


# --- Debugging --------------------------------------------------------------------------------------------------------


def simple(card: TaskCard, without: str = "") -> str:
    """A script that is hard to break: one or two quick models on plain features."""
    quick = [name for name in ("lightgbm", "hist_boosting") if name in design.ranking(card) and name != without]
    plain = {"numbers", "one_hot", "category_counts", "dates", "text_shape"}
    return fenced(design.script(card, quick[:1] or ["hist_boosting"], only=plain).render())


def bug_summary(card: TaskCard, codes: Codes) -> str:
    return words.bug(card)


def debug(card: TaskCard, codes: Codes) -> str:
    broken = codes[0] if codes else ""
    if "Ablation Performance" in broken:
        return ablation(card, [])
    if card.missing_module and not re.search("lightgbm", card.missing_module):
        return fenced(design.script(card, [family(card)]).render())
    if card.missing_module:
        return simple(card, without="lightgbm")
    return simple(card)


def leakage_check(card: TaskCard, codes: Codes) -> str:
    program = parse(codes[0]) if codes else None
    block = program["out_of_fold"].text if program else (codes[0] if codes else "")
    return fenced(json.dumps([{"leakage_status": "No Data Leakage", "code_block": block}], indent=1), "json")


def leakage_repair(card: TaskCard, codes: Codes) -> str:
    program = parse(codes[0]) if codes else None
    return fenced((program or design.script(card, design.for_solution(card, 1, 2))).render())


STEPS: Mapping[Step, Callable[[TaskCard, Codes], str]] = {
    "summarize": summarize,
    "retrieve": retrieve,
    "candidate": candidate,
    "merge": combine,
    "data_use": data_use,
    "ablation": ablation,
    "ablation_summary": ablation_summary,
    "plan": plan,
    "refine_plan": refine_plan,
    "implement": implement,
    "ensemble_plan": ensemble_plan,
    "ensemble": combine,
    "refine_ensemble_plan": refine_ensemble_plan,
    "submission": submission,
    "bug_summary": bug_summary,
    "debug": debug,
    "leakage_check": leakage_check,
    "leakage_repair": leakage_repair,
}
