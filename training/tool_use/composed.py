# ruff: noqa: E501, PLR2004, SIM905 (tables of wordings, drawn by odds: no secret)
"""Tools composed of an action, an object and attributes: thousands of different schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use.attributes import ATTRIBUTES
from training.tool_use.results import answer_for, draw_result
from training.tool_use.task import Call, Task, declare, join_name, parameter

if TYPE_CHECKING:
    from random import Random

    from agentkit.messages import JsonObject, JsonValue
    from training.tool_use.attributes import Attribute

__all__ = ["composed_tasks"]

# action: words for the name, wordings of the request with {o} for the object, description.
_ACTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (("create", "add", "new", "make", "register", "open"),
     ("Create a {o}", "Add a {o}", "Make a new {o}", "I need a new {o}", "Set up a {o}", "Register a {o}", "Please open a {o}", "Could you create a {o}"),
     ("Create a {o}", "Add a new {o}", "Makes a {o} and returns its id")),
    (("get", "fetch", "lookup", "show", "read", "retrieve", "find"),
     ("Show me the {o}", "Get the {o}", "What is the {o}", "Look up the {o}", "I want to see the {o}", "Fetch the {o}", "Can you find the {o}", "Tell me about the {o}"),
     ("Return the {o}", "Get details of a {o}", "Look up one {o}")),
    (("list", "search", "find", "query", "browse"),
     ("List the {o}s", "Find {o}s", "Search for {o}s", "Which {o}s are there", "Show all {o}s", "Are there any {o}s", "Give me the {o}s", "I am looking for {o}s"),
     ("Search {o}s", "List {o}s that match", "Find {o}s")),
    (("update", "change", "edit", "set", "modify"),
     ("Update the {o}", "Change the {o}", "Edit the {o}", "Set the {o}", "Please modify the {o}", "The {o} must be changed"),
     ("Update a {o}", "Change fields of a {o}")),
    (("delete", "remove", "cancel", "drop", "close"),
     ("Delete the {o}", "Remove the {o}", "Cancel the {o}", "Get rid of the {o}", "I no longer need the {o}", "Please cancel the {o}"),
     ("Delete a {o}", "Remove a {o} for good", "Cancel a {o}")),
    (("send", "submit", "share", "forward", "publish"),
     ("Send the {o}", "Submit a {o}", "Share the {o}", "Please forward the {o}", "Publish the {o}", "Could you send the {o}"),
     ("Send a {o}", "Share a {o}", "Submit a {o}")),
    (("count", "total", "stats", "measure"),
     ("How many {o}s are there", "Count the {o}s", "Give me the number of {o}s", "What is the total of {o}s"),
     ("Count {o}s", "Return statistics about {o}s")),
    (("check", "verify", "validate", "inspect", "test"),
     ("Check the {o}", "Verify the {o}", "Is the {o} all right", "Please inspect the {o}", "Can you test the {o}"),
     ("Check a {o}", "Verify that a {o} is valid")),
    (("book", "reserve", "order", "request", "buy"),
     ("Book a {o}", "Reserve a {o}", "Order a {o}", "I would like a {o}", "Get me a {o}", "Please reserve a {o}"),
     ("Book a {o}", "Reserve or order a {o}")),
    (("start", "run", "launch", "begin", "schedule"),
     ("Start the {o}", "Run the {o}", "Launch a {o}", "Schedule a {o}", "Kick off the {o}", "Begin the {o}"),
     ("Start a {o}", "Run a {o} and return its state", "Schedule a {o}")),
)  # fmt: skip
_OBJECTS = """order invoice ticket customer parcel shipment report document task project contract
employee meeting event appointment payment refund subscription account product course lesson
booking flight room car rental job application candidate survey campaign newsletter article post
photo video playlist song recipe meal workout patient prescription lab test claim policy loan
transfer budget expense receipt warehouse item stock level sensor device alarm backup server
database table branch release build pipeline bug issue repository domain certificate
licence permit complaint donation grant vote membership coupon auction bid listing property
lease tenant inspection vehicle route delivery driver shift timesheet holiday leave badge key
visitor parking space machine maintenance plan experiment sample dataset model chart dashboard
notification message template translation glossary book loan chapter quiz exam grade student""".split()
_PAIRS = ["lab sample", "meeting room", "support ticket", "sales lead", "test run", "work order",
          "purchase order", "gift card", "bank account", "data export", "web page", "bus pass",
          "press release", "user account", "shopping cart", "case file", "tax return", "price alert"]  # fmt: skip
_TAILS = ["", "", "", " please", ", please", ", thanks", " for me", " now", " today"]
_JOINS = [" ", " ", ", ", " and "]


def composed_tasks(rng: Random, count: int) -> list[Task]:
    """Draw a tool and ``count`` requests for it."""
    names, wordings, descriptions = rng.choice(_ACTIONS)
    thing = rng.choice(_PAIRS) if rng.random() < 0.2 else rng.choice(_OBJECTS)
    chosen = rng.sample(ATTRIBUTES, rng.choices([1, 2, 3, 4], [4, 5, 3, 1])[0])
    described = rng.random() < 0.7
    style = rng.choices([0, 1, 2, 3], [8, 3, 1, 1])[0]
    schemas: dict[str, JsonObject] = {}
    optional: set[str] = set()
    choices: dict[str, list[str]] = {}
    for number, attribute in enumerate(chosen):
        key = _key(rng, attribute, style, set(schemas))
        listed = list(attribute.choices)
        choices[key] = rng.sample(listed, rng.randint(2, len(listed))) if listed else []
        describes = attribute.describes if described and rng.random() < 0.8 else ""
        schemas[key] = parameter(attribute.kind, describes, choices[key])
        if attribute.kind == "boolean" or (number > 0 and rng.random() < 0.4):
            optional.add(key)
    tool = declare(
        join_name([rng.choice(names), thing], style),
        rng.choice(descriptions).format(o=thing),
        schemas,
        frozenset(optional),
    )
    tasks = []
    for _ in range(count):
        arguments: JsonObject = {}
        said: list[str] = []
        for key, attribute in zip(schemas, chosen, strict=True):
            if key in optional and rng.random() < 0.5:
                continue
            listed = choices[key]
            arguments[key] = rng.choice(listed) if listed else attribute.draw(rng)
            spoken = _spoken(rng, arguments[key])
            said.append(rng.choice(attribute.wordings).format(v=spoken))
        if rng.random() < 0.4:
            rng.shuffle(said)
        request = _request(rng, rng.choice(wordings).format(o=thing), said)
        result = draw_result(rng, thing, arguments)
        call = Call(tool, arguments, result.text)
        answer = answer_for(rng, result)
        tasks.append(Task(f"composed {thing}", request, ((call,),), answer, result.values))
    return tasks


def _key(rng: Random, attribute: Attribute, style: int, taken: set[str]) -> str:
    free = [name for name in attribute.names if name not in taken]
    name = rng.choice(free or [f"{attribute.names[0]}_{len(taken)}"])
    return join_name(name.split("_"), 1) if style == 1 else name


def _spoken(rng: Random, value: JsonValue) -> str:
    if isinstance(value, list):
        words = [str(item) for item in value]
        if rng.random() < 0.5:
            return f"{', '.join(words[:-1])} and {words[-1]}"
        return ", ".join(words)
    return str(value)


def _request(rng: Random, opening: str, said: list[str]) -> str:
    text = opening
    for number, piece in enumerate(said):
        text += (" " if number == 0 else rng.choice(_JOINS)) + piece
    text += rng.choice(_TAILS)
    question = opening.startswith(("What", "Which", "Can", "Could", "Is", "Are", "How"))
    text += "?" if question else rng.choice([".", ".", "", "!"])
    return text[0].lower() + text[1:] if rng.random() < 0.15 else text
