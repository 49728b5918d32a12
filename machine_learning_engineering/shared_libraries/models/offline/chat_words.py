"""The answers of the front door's tools as messages of the offline chat."""

from typing import Any

_HEADINGS = {
    "list_tasks": "These tasks come with me:",
    "list_runs": "Runs, the newest first:",
    "stop_run": "",
}
_NEXT = {
    "list_tasks": "Say `describe NAME` or `run NAME`, or drop a CSV file here.",
    "describe_task": "Say `run it` to start, with settings in words if you like: `run it for 10 minutes, 2 rounds`.",
    "run_status": "`follow` shows it step by step, `leaderboard` its scripts.",
    "run_leaderboard": "`why was NAME dropped` tells more of one of them.",
}
_LONG = 10  # entries of a list that are shown


def answer(tool: str, response: dict[str, Any]) -> str:
    """A tool's answer as a short message in Markdown, with what can be said next."""
    if "question" in response:
        columns = ", ".join(f"`{name}`" for name in response["columns"])
        example = f"Say, for example, `target is {response['columns'][-1]}`."
        return f"{response['question']} The columns are: {columns}. {example}"
    if "error" in response:
        return f"That did not work: {response['error']}"
    if response.get("follows") is not None:
        begun = "Taken up" if tool == "follow_run" else "Begun"
        return f"{begun}: `{response['run']}`." + ("" if response["follows"] else " `follow` shows how it goes.")
    if "answer" in response:
        return str(response["answer"])
    return "\n\n".join(part for part in (_HEADINGS.get(tool, ""), _listed(response), _NEXT.get(tool, "")) if part)


def _listed(response: dict[str, Any]) -> str:
    """Its `key: value` pairs as a list; a long text below it."""
    lines, texts = [], []
    for key, value in response.items():
        if isinstance(value, list):
            lines += _entries(key, value, alone=len(response) == 1)
        elif "\n" in str(value):
            texts.append(str(value))
        elif value not in ("", None):
            lines.append(f"- **{key}**: {value}")
    return "\n\n".join(["\n".join(lines), *texts])


def _entries(key: str, values: list[Any], alone: bool) -> list[str]:
    if alone:
        return [f"- {value}" for value in values]
    if not values:
        return []
    if key == "columns":
        more = f" and {len(values) - _LONG} more" if len(values) > _LONG else ""
        return [f"- **{key}**: {', '.join(map(str, values[:_LONG]))}{more}"]
    return [f"- **{key}**:", *(f"    {_bullet(str(value))}{value}" for value in values)]


def _bullet(value: str) -> str:
    """The mark of a list's entry; none where the entry brings its number."""
    return "" if value.partition(".")[0].isdigit() else "- "
