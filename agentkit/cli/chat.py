"""``agentkit chat``: a conversation at the terminal.

The agent lives on an event loop in a thread of its own, so that Ctrl-C reaches the person's side
at once: it cancels the turn that runs and keeps the conversation.
"""

import concurrent.futures
import contextlib
import importlib
import sys

from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentkit.agent import Agent
from agentkit.cli.approver import os_user
from agentkit.cli.failures import show_error
from agentkit.cli.message import checked
from agentkit.cli.options import ApproverKeyFile, ApproverName, SpecFile
from agentkit.cli.person import person_for
from agentkit.cli.progress import ShownProgress
from agentkit.cli.screen import Screen
from agentkit.cli.startup_view import StartupView
from agentkit.cli.turn_view import TurnView, show_answer
from agentkit.cli.untrusted import one_line
from agentkit.errors import AgentkitError, AuditError, ModelError, TurnStopped
from agentkit.planner import Answer
from agentkit.spec import load_spec

__all__ = ["chat"]

_WAIT_S = 0.2
_HELP = (
    ("/help", "this list"),
    ("/sources", "what the last answer rests on"),
    ("/audit", "where this conversation is recorded"),
    ("/quit", "leave; so does Ctrl-D"),
    ("Ctrl-C", "stop the turn that runs"),
)


def chat(spec: SpecFile, approver: ApproverName = "", key: ApproverKeyFile = None) -> None:
    """Talk with an agent; Ctrl-C stops a turn, Ctrl-D leaves."""
    screen = Screen.here()
    loaded = load_spec(spec)
    person = person_for(loaded, approver or os_user(), key)
    with ShownProgress(screen) as progress:
        view = TurnView(screen, loaded.spec.sandbox.tier.value)
        opening = Agent.open(
            loaded,
            approver=person,
            observe=view,
            observe_startup=StartupView(screen, progress),
            progress=progress,
        )
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as agent:
            progress.clear()
            for notice in agent.report.notices:
                screen.row("notice", notice)
            screen.out.print()
            screen.out.print(f"{agent.report.agent} is ready. /help lists the commands.")
            _Conversation(screen, portal, agent, view).run()


class _Conversation:
    """Reads lines and answers them until the end."""

    def __init__(
        self, screen: Screen, portal: BlockingPortal, agent: Agent, view: TurnView
    ) -> None:
        self._screen = screen
        self._portal = portal
        self._agent = agent
        self._view = view
        self._last: Answer | None = None

    def run(self) -> None:
        # Line editing where Python was built with it; it changes what input() does.
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")
        # A line in another encoding is refused by itself; it does not end the conversation.
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="surrogateescape")
        while True:
            try:
                line = input("\nyou> " if self._screen.is_interactive else "").strip()
            except EOFError:
                self._screen.out.print()
                return
            except KeyboardInterrupt:
                self._screen.out.print()
                continue
            if line in {"/quit", "/exit"}:
                return
            if line.startswith("/"):
                self._command(line)
            elif line:
                self._turn(line)

    def _turn(self, text: str) -> None:
        try:
            text = checked(text)
        except AgentkitError as error:
            show_error(error, self._screen)
            return
        future = self._portal.start_task_soon(self._agent.run, text)
        try:
            self._last = _outcome(future)
        except KeyboardInterrupt:
            future.cancel()
            self._view.settle()
            self._screen.note("stopped; the conversation is as it was before")
        except (TurnStopped, ModelError) as error:
            # The conversation can go on without this turn; every other failure ends the chat.
            self._view.settle()
            show_error(error, self._screen)
        else:
            show_answer(self._screen, self._last)

    def _command(self, line: str) -> None:
        screen = self._screen
        match line:
            case "/help":
                for name, what in _HELP:
                    screen.row(name, what)
            case "/sources" if self._last is not None and self._last.sources:
                for source in self._last.sources:
                    screen.row(source.kind.value, one_line(str(source)))
            case "/sources":
                screen.row("sources", "none but your words and the instructions")
            case "/audit":
                screen.row("log", str(self._agent.log.path))
                screen.row("run", self._agent.run_id)
                screen.row("records", str(self._agent.log.size))
                screen.row("see", f"agentkit audit show {self._agent.log.path} --run ...")
            case _:
                screen.note(f"there is no command {line.split(maxsplit=1)[0]}; /help lists them")


def _outcome(future: "concurrent.futures.Future[Answer]") -> Answer:
    # Ctrl-C that comes just before a wait begins does not end it; so no wait is long.
    while not concurrent.futures.wait([future], timeout=_WAIT_S).done:
        pass
    try:
        return future.result()
    except concurrent.futures.CancelledError as error:
        raise AuditError(
            "the agent stopped", cure="start the chat again; the log keeps what happened"
        ) from error
