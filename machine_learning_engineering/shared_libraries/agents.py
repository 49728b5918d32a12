"""How the algorithm asks an agent: a leaf `LlmAgent` turns one prompt into one value, inside ADK's own event flow.

`Phase` adapts a coroutine to a `BaseAgent`; the coroutine gets a `Desk`, asks leaves over it, and writes state keys.
Reply, state delta and script result of a leaf become one event, so a kill or a cancel cannot lose one of them alone.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from google.adk.agents import BaseAgent, LlmAgent
from google.adk.agents.callback_context import CallbackContext
from google.adk.agents.invocation_context import InvocationContext
from google.adk.events import Event, EventActions
from google.adk.models import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from google.genai import types
from pydantic import PrivateAttr

from machine_learning_engineering.shared_libraries.common_util import clean, storable
from machine_learning_engineering.shared_libraries.errors import BranchFailed, MleError, NoReply, ReplyFormatError
from machine_learning_engineering.shared_libraries.models.recorded import Recorded
from machine_learning_engineering.shared_libraries.models.registry import is_gemini, make_model, model_for
from machine_learning_engineering.shared_libraries.replies import text_of
from machine_learning_engineering.shared_libraries.runs.run import Run

T = TypeVar("T")
_SILENT_TIMES = 2  # that a question may stay without a reply


class Reply(str):
    """A model's reply, with the pages that a search of the model's own found for it."""

    sources: Sequence[str] = ()


Take = Callable[[CallbackContext, Reply], Awaitable[T]]
Emit = Callable[[Event], Awaitable[None]]


class Desk:
    """Where a phase does its work: `ask` an agent, `note` state keys, read `state`, run branches side by side."""

    def __init__(self, run: Run, context: InvocationContext, emit: Emit) -> None:
        self.run = run
        self._context = context
        self._emit = emit
        self._models: dict[str, BaseLlm] = {}

    @property
    def state(self) -> dict[str, Any]:
        """The live session state; write through `note` only."""
        return self._context.session.state

    async def note(self, author: str, **delta: Any) -> None:
        """Writes state keys in the name of an agent."""
        await self._send(
            Event(
                author=author,
                invocation_id=self._context.invocation_id,
                actions=EventActions(state_delta=delta),
            )
        )

    async def ask(
        self, agent: str, role: str, prompt: str, take: Take[T], tools: Sequence[Any] = (), temperature: float = 1.0
    ) -> T:
        """What `take` makes of the reply; a reply it refuses is asked again, with the reason, `max_retry` times in all.

        Raises: ReplyFormatError if no reply qualified or none came; ModelError if the model cannot be reached.
        """
        refused, silent = "", 0
        for _ in range(self.run.config.max_retry):
            question = f"{prompt}\n\nYour last reply could not be used: {refused} Answer again." if refused else prompt
            try:
                return await self._ask_once(agent, role, question, take, tools, temperature)
            except NoReply:
                silent += 1
                if silent == _SILENT_TIMES:  # its provider has tried several times each
                    raise
            except ReplyFormatError as exc:
                refused = str(exc)
        raise ReplyFormatError(f"{agent} gave no usable reply in {self.run.config.max_retry} calls: {refused}")

    async def _ask_once(
        self, agent: str, role: str, prompt: str, take: Take[T], tools: Sequence[Any], temperature: float
    ) -> T:
        taken: list[T] = []
        refused = ReplyFormatError("the reply was empty.")

        async def after_model(callback_context: CallbackContext, llm_response: LlmResponse) -> None:
            nonlocal refused
            reply = Reply(clean(text_of(llm_response.content)))
            reply.sources = _sources(llm_response)
            try:
                taken.append(await take(callback_context, reply))
            except ReplyFormatError as exc:
                refused = exc

        leaf = LlmAgent(
            name=agent,
            model=Recorded(provider=self._model(role), agent=agent, journal=self.run.journal),
            instruction=lambda _: prompt,
            include_contents="none",
            disallow_transfer_to_parent=True,
            disallow_transfer_to_peers=True,
            tools=list(tools),
            generate_content_config=types.GenerateContentConfig(
                temperature=temperature, max_output_tokens=self.run.config.max_output_tokens
            ),
            before_model_callback=_only_the_instruction,
            after_model_callback=after_model,
        )
        async for event in leaf.run_async(self._context):
            await self._send(event)
        if not taken:
            raise refused
        return taken[0]

    async def branches(self, *work: Coroutine[Any, Any, T]) -> list[T | MleError]:
        """The results of all branches, run side by side; a branch whose scripts or replies fail costs only itself.

        Raises: any other failure, such as a model that cannot be reached: taking the run up later loses no branch.
        """
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for task in tasks:
                task.cancel()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, BranchFailed | ReplyFormatError):
                raise result
        return results  # type: ignore[return-value]

    def search_tools(self, role: str) -> list[Any]:
        """Gemini's web search where the role's model is a Gemini, else nothing."""
        if not is_gemini(model_for(role, self.run.config)):
            return []
        from google.adk.tools.google_search_tool import google_search

        return [google_search]

    def _model(self, role: str) -> BaseLlm:
        if role not in self._models:
            self._models[role] = make_model(model_for(role, self.run.config), self.run.config)
        return self._models[role]

    async def _send(self, event: Event) -> None:
        event.actions.state_delta = storable(event.actions.state_delta)
        if event.actions.state_delta:
            self.run.record_state(event.author, event.actions.state_delta)
        await self._emit(event)


class Phase(BaseAgent):
    """One phase of a run as an agent: forwards the events of a coroutine that works at a desk."""

    _run: Run = PrivateAttr()
    _work: Callable[[Desk], Awaitable[None]] = PrivateAttr()

    @classmethod
    def of(cls, name: str, description: str, run: Run, work: Callable[[Desk], Awaitable[None]]) -> "Phase":
        phase = cls(name=name, description=description)
        phase._run, phase._work = run, work
        return phase

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[Event, None]:
        queue: asyncio.Queue[tuple[Event, asyncio.Event] | None] = asyncio.Queue()

        async def emit(event: Event) -> None:
            stored = asyncio.Event()
            queue.put_nowait((event, stored))
            await stored.wait()  # a branch goes on only once its event is in the session

        work = asyncio.ensure_future(self._work(Desk(self._run, ctx, emit)))
        work.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (item := await queue.get()) is not None:
                yield item[0]
                item[1].set()
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


class Pipeline(BaseAgent):
    """Runs its sub-agents one after the other."""

    async def _run_async_impl(self, ctx: InvocationContext) -> AsyncGenerator[Event, None]:
        for agent in self.sub_agents:
            async for event in agent.run_async(ctx):
                yield event


def _sources(response: LlmResponse) -> list[str]:
    """The addresses of the pages that a reply is grounded in."""
    chunks = (response.grounding_metadata and response.grounding_metadata.grounding_chunks) or []
    return list(dict.fromkeys(chunk.web.uri for chunk in chunks if chunk.web and chunk.web.uri))


def _only_the_instruction(callback_context: CallbackContext, llm_request: LlmRequest) -> None:
    """Drops what ADK adds of other agents' replies: the instruction is the whole question."""
    llm_request.contents = [types.UserContent("Proceed.")]
