# mypy: disable-error-code="name-defined"
# A field of LlmAgent names a type of Pillow, which mypy's pydantic plugin looks for in every subclass.
"""The front door for `adk run` and `adk web`: a chat agent whose tools list tasks and start, follow and stop runs.

A run is a process of its own, so closing the chat ends nothing.
"""

import os

os.environ.setdefault("ADK_SUPPRESS_EXPERIMENTAL_FEATURE_WARNINGS", "1")  # they would stand in a user's terminal

from collections.abc import AsyncGenerator

from google.adk.agents import LlmAgent
from google.adk.agents.invocation_context import InvocationContext
from google.adk.apps import App
from google.adk.events import Event
from google.adk.models import BaseLlm

from machine_learning_engineering.front_door.dropped import DroppedFiles
from machine_learning_engineering.front_door.follow import follow
from machine_learning_engineering.front_door.tools import FOLLOWS, TOOLS
from machine_learning_engineering.prompt import ABOUT, FRONTDOOR
from machine_learning_engineering.shared_libraries.config import RunConfig


class FrontDoor(LlmAgent):
    """A chat agent that, once it has answered, follows the run which its tools began or took up.

    No sub-agent does that: handing over would add a tool and a paragraph to every request of the model.
    """

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[Event, None]:
        follows = False
        async for event in super()._run_async_impl(ctx):
            answers = [one.response or {} for one in event.get_function_responses()]
            follows = follows or any(answer.get(FOLLOWS) for answer in answers)
            yield event
        if follows:
            async for event in follow(ctx, self.name):
                yield event


def build_frontdoor(config: RunConfig) -> FrontDoor:
    """A fresh front door that talks with the configured model; the offline one understands a small grammar."""
    return FrontDoor(
        name="mle_frontdoor_agent",
        model=_chat_model(config),
        description="Lists and describes machine-learning tasks, and starts, follows and stops runs.",
        instruction=lambda _: FRONTDOOR,
        tools=list(TOOLS),
    )


def _chat_model(config: RunConfig) -> BaseLlm:
    from machine_learning_engineering.shared_libraries.models.offline.chat import OfflineChat
    from machine_learning_engineering.shared_libraries.models.registry import make_model, model_for

    name = model_for("chat", config)
    return OfflineChat(model="offline", about=ABOUT) if name == "offline" else make_model(name, config)


root_agent = build_frontdoor(RunConfig.from_env())
app = App(name="machine_learning_engineering", root_agent=root_agent, plugins=[DroppedFiles()])
