# ruff: noqa: E501, PLR2004, Q003 (tables of wordings, drawn by odds: no secret)
"""The attributes that composed tools take as parameters: names, types, values, wordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.tool_use import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from agentkit.messages import JsonValue

__all__ = ["ATTRIBUTES", "Attribute"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """``wordings`` hold ``{v}``; a switch (boolean) is true where it is mentioned."""

    names: tuple[str, ...]
    kind: str
    describes: str
    draw: Callable[[Random], JsonValue]
    wordings: tuple[str, ...]
    choices: tuple[str, ...] = ()


def _of(*choices: str) -> Callable[[Random], JsonValue]:
    return lambda rng: rng.choice(choices)


def _choice(names: str, describes: str, choices: str, *wordings: str) -> Attribute:
    listed = tuple(choices.split("|"))
    return Attribute(tuple(names.split()), "string", describes, _of(*listed), wordings, listed)


def _plain(
    names: str, kind: str, describes: str, draw: Callable[[Random], JsonValue], *wordings: str
) -> Attribute:
    return Attribute(tuple(names.split()), kind, describes, draw, wordings)


def _several(draw: Callable[[Random], JsonValue]) -> Callable[[Random], JsonValue]:
    return lambda rng: [draw(rng) for _ in range(rng.randint(2, 4))]


def _switch(names: str, describes: str, *wordings: str) -> Attribute:
    return Attribute(tuple(names.split()), "boolean", describes, lambda _: True, wordings)


def _one_word(rng: Random) -> JsonValue:
    return values.word(rng) if rng.random() < 0.5 else values.phrase(rng, 1)


ATTRIBUTES = (
    _plain("title name subject label heading", "string", "title", values.phrase,
           "called {v}", "titled '{v}'", "named {v}", "with the title \"{v}\"", "called \"{v}\""),
    _plain("date day on due_date deadline start_date when", "string", "date, YYYY-MM-DD", values.date,
           "on {v}", "for {v}", "dated {v}", "due {v}", "with date {v}"),
    _plain("time at start_time hour when", "string", "time, HH:MM", values.time,
           "at {v}", "starting at {v}", "for {v}", "with time {v}"),
    _plain("city location place town site", "string", "city", values.city,
           "in {v}", "for {v}", "at {v}", "located in {v}"),
    _plain("owner assignee person user contact member responsible", "string", "person", values.person,
           "for {v}", "owned by {v}", "assigned to {v}", "with {v} as owner", "by {v}"),
    _plain("recipient to receiver send_to target", "string", "who receives it", values.person,
           "to {v}", "addressed to {v}", "for {v}"),
    _plain("email address mail email_address", "string", "email address", values.email,
           "with email {v}", "using the address {v}", "at {v}", "email {v}"),
    _plain("amount price sum cost total value", "number", "amount of money", values.amount,
           "of {v}", "with an amount of {v}", "for {v} dollars", "worth {v}", "costing {v}", "for {v} kr"),
    _plain("quantity count number amount copies n", "integer", "how many", values.quantity,
           "with quantity {v}", "{v} of them", "{v} pieces", "count {v}"),
    _plain("limit max_results top max n", "integer", "how many at most", values.quantity,
           "at most {v}", "limited to {v}", "no more than {v}", "the first {v}", "max {v}"),
    _choice("priority urgency importance", "priority", "low|medium|high",
            "with {v} priority", "priority {v}", "as {v} priority"),
    _choice("status state phase", "status", "open|closed|pending|done|cancelled",
            "with status {v}", "that is {v}", "status {v}", "marked {v}"),
    _choice("color colour tint", "colour", "red|green|blue|yellow|black|white",
            "in {v}", "coloured {v}", "with colour {v}"),
    _choice("size format_size dimensions", "size", "small|medium|large",
            "in size {v}", "size {v}", "of {v} size"),
    _choice("format type file_type output", "format", "pdf|csv|json|html|xml|txt",
            "as {v}", "in {v} format", "as a {v} file"),
    _choice("unit units system", "unit", "metric|imperial",
            "in {v} units", "using {v} units", "({v})"),
    _choice("frequency interval repeat every", "how often", "daily|weekly|monthly|yearly",
            "{v}", "repeated {v}", "every time {v}", "on a {v} basis"),
    _choice("category kind group department", "category", "sales|support|finance|legal|travel|food",
            "in category {v}", "in the {v} category", "under {v}", "for {v}"),
    _choice("currency money", "currency", "USD|EUR|GBP|NOK|JPY",
            "in {v}", "with currency {v}"),
    _choice("language lang locale", "language", "English|French|German|Spanish|Norwegian|Polish",
            "in {v}", "with language {v}", "written in {v}"),
    _choice("order sort direction sort_order", "order", "ascending|descending",
            "in {v} order", "sorted {v}", "{v}"),
    _plain("id identifier number key ref code reference", "string", "identifier", values.code,
           "{v}", "number {v}", "with id {v}", "with reference {v}", "id {v}"),
    _plain("note text comment body message description details content", "string", "free text",
           values.sentence,
           "with the note \"{v}\"", "saying '{v}'", "with the text '{v}'", "noting \"{v}\"", "and the comment '{v}'"),
    _plain("keyword query q search_term term filter", "string", "search words", values.phrase,
           "about {v}", "matching '{v}'", "containing {v}", "for \"{v}\"", "on {v}"),
    _plain("tags labels keywords categories", "strings", "list of tags", _several(_one_word),
           "with tags {v}", "tagged {v}", "and the tags {v}"),
    _plain("participants members attendees people names", "strings", "list of people", _several(values.person),
           "with {v}", "for {v}", "including {v}"),
    _plain("numbers values data scores", "numbers", "list of numbers", _several(values.integer),
           "for {v}", "with the values {v}", "from {v}"),
    _plain("path file filename file_path document", "string", "file", values.path,
           "{v}", "from {v}", "in {v}", "at {v}", "for the file {v}"),
    _plain("folder directory target_folder destination", "string", "folder", _one_word,
           "in folder {v}", "in the {v} folder", "into {v}"),
    _plain("duration minutes length duration_minutes", "integer", "length in minutes", values.quantity,
           "for {v} minutes", "lasting {v} minutes", "of {v} minutes", "{v} minutes long"),
    _plain("hours timeout duration_hours", "number", "hours", values.quantity,
           "for {v} hours", "lasting {v} hours", "of {v} hours"),
    _plain("days period days_ahead", "integer", "number of days", values.quantity,
           "for {v} days", "over {v} days", "for the next {v} days"),
    _plain("weight kilograms mass weight_kg", "number", "weight in kg", values.number,
           "weighing {v} kg", "of {v} kg", "with a weight of {v} kg"),
    _plain("percent percentage rate share", "number", "percent", values.quantity,
           "at {v} percent", "of {v}%", "with {v} percent"),
    _plain("level intensity volume strength", "integer", "level, 0-100", values.quantity,
           "to {v}", "to level {v}", "at level {v}"),
    _plain("temperature degrees temp", "number", "degrees Celsius", values.quantity,
           "at {v} degrees", "to {v} degrees", "to {v} °C"),
    _plain("year fiscal_year", "integer", "year", lambda rng: rng.randint(1950, 2040),
           "from {v}", "for {v}", "of the year {v}", "in {v}"),
    _plain("origin from source departure start", "string", "where it starts", values.city,
           "from {v}", "starting in {v}", "leaving {v}"),
    _plain("destination to arrival end", "string", "where it ends", values.city,
           "to {v}", "going to {v}", "arriving in {v}"),
    _plain("url link website page", "string", "web address",
           lambda rng: f"https://{values.word(rng)}.{rng.choice(['com', 'org', 'no'])}/{values.word(rng)}",
           "at {v}", "from {v}", "for {v}", "{v}"),
    _plain("phone phone_number mobile", "string", "phone number",
           lambda rng: f"+{rng.randint(10, 99)}{rng.randint(10_000_000, 99_999_999)}",
           "with phone {v}", "at {v}", "number {v}"),
    _switch("urgent express rush", "whether it is urgent", "urgently", "and make it urgent", "as urgent"),
    _switch("notify send_notification notify_team", "whether to notify people",
            "and notify everyone", "with a notification", "and send a notification"),
    _switch("recursive include_subfolders include_archived", "whether to include everything below",
            "including everything below", "with everything below it"),
    _switch("private hidden confidential", "whether it is private", "as private", "and keep it private"),
)  # fmt: skip
