"""What the submission agent is asked."""

from machine_learning_engineering.shared_libraries.prompt_parts import (
    RESPONSE_FORMAT,
    contract,
    described,
    page,
    shown,
)
from machine_learning_engineering.shared_libraries.tasks.card import TaskCard

SUBMISSION = """\
The solution below won the search, but it made no valid submission when `./input` held the complete training data
({rows} rows) and the real test file ({test_rows} rows). Make it work there with as little change as possible: same
model, same features. Expect more rows, missing values and categories that the search did not show, and no target in
the test file; predict every row of it."""


def render_submission(card: TaskCard, description: str, code: str) -> str:
    task = SUBMISSION.format(rows=card.profile.train_rows, test_rows=card.profile.test_rows)
    return page(
        card, "submission", task, described(description), shown(card, code), contract(card), reply=RESPONSE_FORMAT
    )
