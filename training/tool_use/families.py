# ruff: noqa: E501, PLR2004, Q003 (tables of wordings, drawn by odds: no secret)
"""Tools people ask for by what they want, not by the tool's words: weather, messages, files ..."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.tool_use import values
from training.tool_use.results import spoken
from training.tool_use.task import Call, Task, declare, join_name, parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["family_tasks"]

_Draw = "Callable[[Random], JsonValue]"


@dataclass(frozen=True, slots=True)
class Family:
    """``slots``: (names, kind, description, draw). Wordings hold ``{0}``, ``{1}`` for the slots and
    ``{r}`` for what is drawn as the result.
    """

    names: str
    descriptions: tuple[str, ...]
    slots: tuple[tuple[str, str, str, Callable[[Random], JsonValue]], ...]
    requests: tuple[str, ...]
    result: Callable[[Random], JsonValue]
    results: tuple[str, ...]
    answers: tuple[str, ...]


def _pick(text: str) -> Callable[[Random], JsonValue]:
    listed = text.split("|")
    return lambda rng: rng.choice(listed)


_lang = _pick("French|German|Spanish|Norwegian|Italian|Polish|Japanese|Dutch|Turkish|Greek")
_unit = _pick(
    "km|miles|kg|pounds|litres|gallons|metres|feet|celsius|fahrenheit|grams|ounces|inches|cm"
)
_currency = _pick("USD|EUR|GBP|NOK|SEK|JPY|CHF|INR|PLN|DKK|BRL|KRW")
_topic = values.phrase
_ok = ("ok {r}", "{r}", '{{"status": "ok", "id": "{r}"}}', "Done, id {r}")
_did = ("Done. The id is {r}.", "Done: the id is {r}.", "That is done; the id is {r}.")


def _facts() -> tuple[Family, ...]:
    """Return families that look one fact up about one thing."""
    rows: tuple[tuple[str, str, str, Callable[[Random], JsonValue], Callable[[Random], JsonValue], str], ...] = (
        ("weather forecast get_weather current_weather", "weather", "city location place town", values.city, lambda g: f"{g.randint(-20, 38)} degrees and {g.choice(['rain', 'sun', 'snow', 'wind', 'clouds', 'fog'])}", "What is the {x} in {0}?|How is the {x} in {0} today?|Tell me the {x} for {0}.|{0}: {x}?|Will I need an umbrella in {0}?|Is it cold in {0}?"),
        ("get_population population city_population", "population", "city place country name", values.city, values.integer, "What is the {x} of {0}?|How many people live in {0}?|{x} of {0} please|Tell me how big {0} is by {x}."),
        ("local_time get_time time_in current_time", "local time", "city place timezone_city location", values.city, values.time, "What time is it in {0}?|Tell me the {x} in {0}.|What is the {x} in {0} now?|Time in {0}?"),
        ("air_quality get_air_quality pollution_index", "air quality", "city area location", values.city, values.quantity, "How is the air in {0}?|What is the {x} in {0}?|Is the air clean in {0}?"),
        ("stock_price get_quote share_price quote", "share price", "symbol ticker stock", lambda g: "".join(g.choice("ABCDEFGHKLMNPRSTVXZ") for _ in range(g.randint(2, 4))), values.amount, "What is the {x} of {0}?|Quote for {0}?|How much is {0} trading at?|Price of {0} stock please."),
        ("employee_phone find_phone phone_lookup", "phone number", "name person employee", values.person, lambda g: f"+47{g.randint(10_000_000, 99_999_999)}", "What is {0}'s {x}?|How can I call {0}?|Find the {x} of {0}.|I need to phone {0}, what is the number?"),
        ("movie_rating film_score rating_of", "rating", "title film movie", values.phrase, lambda g: round(g.uniform(1, 10), 1), "How good is the film '{0}'?|What {x} has \"{0}\"?|Give me the {x} of the movie {0}."),
        ("calories nutrition food_energy", "energy in kcal", "food item dish", _topic, values.quantity, "How many calories are in {0}?|Calories of {0}?|What is the energy of {0}?"),
        ("inventory stock_level check_stock", "stock", "sku product item article", values.code, values.quantity, "How many {0} do we have in stock?|Is {0} in stock?|Check the {x} of {0}.|Stock for {0}?"),
        ("account_balance get_balance balance", "balance", "account account_id iban", values.code, values.amount, "What is the {x} of account {0}?|How much money is on {0}?|Show the {x} for {0}."),
        ("read_file open_file cat load_text", "content", "path file filename", values.path, values.sentence, "Read the file {0}.|What does {0} say?|Show me what is in {0}.|Open {0}."),
        ("fetch_page read_url get_page", "text", "url link address", lambda g: f"https://{values.word(g)}.com/{values.word(g)}", values.sentence, "What does the page {0} say?|Read {0} for me.|Fetch {0}.|Open {0} and tell me what is there."),
        ("order_status track_order", "status", "order_id order number", values.code, _pick("shipped|delivered|delayed|packed|returned"), "Where is my order {0}?|What is the {x} of order {0}?|Has order {0} been sent?|Track {0}."),
        ("count_words word_count words", "number of words", "text content string", values.sentence, values.quantity, "How many words are in '{0}'?|Count the words of \"{0}\".|Word count: {0}"),
        ("slugify make_slug to_slug", "slug", "text title string", _topic, lambda g: "-".join([values.word(g), values.word(g)]), "Make a slug of '{0}'.|Turn \"{0}\" into a slug.|Slugify {0}.|Give me a web address name for '{0}'."),
        ("hash_text sha256 checksum digest", "hash", "text data input", _topic, lambda g: f"{g.getrandbits(40):010x}", "What is the {x} of '{0}'?|Hash \"{0}\".|Compute the checksum of {0}."),
        ("capital_of get_capital", "capital", "country nation", lambda g: values.word(g).capitalize() + "ia", values.city, "What is the {x} of {0}?|Which city is the {x} of {0}?|Name {0}'s {x}."),
        ("query_database sql run_query", "answer of the database", "query sql statement", lambda g: f"SELECT {values.word(g)} FROM {values.word(g)} WHERE id = {values.integer(g)}", values.integer, "Run the query {0}.|Execute: {0}|What does the database say to {0}?"),  # noqa: S608 (a text to be copied, never run)
    )  # fmt: skip
    return tuple(
        Family(
            names,
            (f"Return the {what} of a {slots.split()[0]}", f"Look up {what}", f"Get the {what} by {slots.split()[0]}"),
            ((slots, "string", f"the {slots.split()[0]}", draw),),
            tuple(request.replace("{x}", what) for request in requests.split("|")),
            found,
            ("{r}", "{r}", f'{{{{"{what}": {{q}}}}}}', f"{what}: {{r}}"),
            (f"The {what} of {{0}} is {{r}}.", f"The {what} of {{0}} is {{r}}.", f"{{0}}: the {what} is {{r}}."),
        )
        for names, what, slots, draw, found, requests in rows
    )  # fmt: skip


_ACTS = (
    Family("translate translate_text to_language", ("Translate a text", "Translate text into a language"),
           (("text phrase sentence content", "string", "text", _topic), ("language target to target_language", "string", "target language", _lang)),
           ("Translate '{0}' to {1}.", "How do you say \"{0}\" in {1}?", "Put {0} into {1}.", "{1} for '{0}'?", "I need '{0}' in {1}."),
           values.phrase, ("{r}", '{{"translation": "{r}"}}'), ("In {1}: {r}.", "'{0}' in {1} is '{r}'.")),
    Family("send_message send_sms text_person message_contact", ("Send a short message to a person", "Send an SMS"),
           (("recipient to contact person", "string", "person", values.person), ("text message body content", "string", "what to say", values.sentence)),
           ("Send {0} the message '{1}'.", "Text {0}: {1}", "Tell {0} \"{1}\".", "Message {0} saying '{1}'.", "Let {0} know: {1}", "Write to {0}: \"{1}\""),
           values.code, _ok, ("Your message to {0} was sent; the id is {r}.", "Sent to {0}; the id is {r}.")),
    Family("send_email email_person mail", ("Send an email", "Send an email to an address"),
           (("to recipient address", "string", "address", values.email), ("subject title topic", "string", "subject", _topic), ("body text content", "string", "text", values.sentence)),
           ("Email {0} with subject '{1}': {2}", "Send an email to {0}, subject {1}, saying \"{2}\".", "Write {0} an email titled '{1}' with the text '{2}'.", "Mail to {0} about {1}: {2}"),
           values.code, _ok, ("The email to {0} was sent; the id is {r}.",)),
    Family("set_reminder remind_me create_reminder", ("Create a reminder", "Remind the user of something"),
           (("text what task about", "string", "what", _topic), ("time at when", "string", "HH:MM", values.time)),
           ("Remind me at {1} about {0}.", "Set a reminder for {1}: {0}", "At {1} remind me of {0}.", "Don't let me forget {0} at {1}.", "I want a reminder of {0} at {1}."),
           values.code, _ok, _did),
    Family("create_event add_to_calendar schedule_meeting", ("Put an event in the calendar", "Create a calendar event"),
           (("title name subject", "string", "title", _topic), ("date day on", "string", "YYYY-MM-DD", values.date)),
           ("Schedule '{0}' on {1}.", "Add {0} to my calendar on {1}.", "On {1} I have {0}, add it.", "Put \"{0}\" on {1}.", "Calendar: {0}, {1}"),
           values.code, _ok, _did),
    Family("search_web web_search google search", ("Search the web", "Search the internet for pages"),
           (("query q keywords", "string", "search words", _topic),),
           ("Search the web for {0}.", "Google {0}.", "Find pages about {0}.", "Look up '{0}' online.", "What can you find on the internet about {0}?"),
           values.sentence, ("1. {r}", "{r}", '[{{"title": "{r}"}}]'), ("I found: {r}.", "The search found: {r}.")),
    Family("find_news search_news news", ("Find news", "Return a headline about a topic"),
           (("topic query subject about", "string", "topic", _topic),),
           ("Any news about {0}?", "What is new on {0}?", "Find news on {0}.", "Latest headlines about {0} please."),
           values.sentence, ("{r}", "Headline: {r}"), ("The headline is: {r}.",)),
    Family("convert_units convert unit_converter", ("Convert between units", "Convert a value from one unit to another"),
           (("value amount quantity x", "number", "value", values.number), ("from_unit source from", "string", "unit", _unit), ("to_unit target to", "string", "unit", _unit)),
           ("Convert {0} {1} to {2}.", "How many {2} are {0} {1}?", "What is {0} {1} in {2}?", "{0} {1} in {2}?", "I have {0} {1}, give me {2}."),
           values.number, ("{r}", '{{"result": {r}}}', "{r}"), ("{0} {1} is {r} {2}.", "{0} {1} = {r} {2}.")),
    Family("exchange convert_currency fx", ("Convert money between currencies", "Currency conversion"),
           (("amount value sum", "number", "amount", values.amount), ("from_currency base source", "string", "currency code", _currency), ("to_currency quote target", "string", "currency code", _currency)),
           ("How much is {0} {1} in {2}?", "Convert {0} {1} to {2}.", "Exchange {0} {1} into {2}.", "{0} {1} to {2} please"),
           values.amount, ("{r}", '{{"amount": {r}}}'), ("{0} {1} is {r} {2}.",)),
    Family("get_directions route directions", ("Find a route between two places", "Directions"),
           (("origin start from", "string", "start", values.city), ("destination end to", "string", "end", values.city)),
           ("How do I get from {0} to {1}?", "Route from {0} to {1}.", "I am in {0} and want to go to {1}.", "Directions {0} to {1}"),
           lambda g: f"{g.randint(2, 900)} km, {g.randint(5, 600)} minutes", ("{r}", "Route found: {r}"), ("From {0} to {1}: {r}.", "The route is {r}.")),
    Family("distance distance_between how_far", ("Distance between two places in km",),
           (("a place_a first origin", "string", "place", values.city), ("b place_b second destination", "string", "place", values.city)),
           ("How far is it from {0} to {1}?", "Distance between {0} and {1}?", "How many km between {0} and {1}?"),
           values.integer, ("{r}", "{r} km", '{{"km": {r}}}'), ("The distance from {0} to {1} is {r} km.",)),
    Family("play_song play_music", ("Play music", "Play a song by an artist"),
           (("song title track", "string", "song", _topic), ("artist by band", "string", "artist", values.person)),
           ("Play {0} by {1}.", "Put on '{0}' from {1}.", "I want to hear {1} with {0}."),
           values.code, ("playing, session {r}", "ok {r}"), ("Playing {0} by {1}; the session is {r}.",)),
    Family("set_timer start_timer countdown", ("Start a timer", "Set a countdown in minutes"),
           (("minutes duration length", "integer", "minutes", values.quantity),),
           ("Set a timer for {0} minutes.", "Wake me in {0} minutes.", "{0} minute timer", "Count down {0} minutes.", "Timer {0} min"),
           values.time, ("ends at {r}", '{{"ends": "{r}"}}'), ("The timer ends at {r}.",)),
    Family("add_item add_to_cart put_on_list", ("Add an item to the shopping list",),
           (("item product name", "string", "item", values.word), ("quantity count amount", "integer", "how many", values.quantity)),
           ("Add {1} {0} to the list.", "Put {1} {0} in my cart.", "I need {1} {0}.", "We are out of {0}, buy {1}.", "Shopping list: {0}, {1} of them."),
           values.quantity, ("{r} items on the list", '{{"items": {r}}}'), ("Done. There are {r} items on the list.",)),
    Family("write_file save_text save_file", ("Write a text to a file", "Save text"),
           (("path file filename", "string", "file", values.path), ("content text data", "string", "text", values.sentence)),
           ("Save '{1}' to {0}.", "Write \"{1}\" into {0}.", "Create the file {0} with the content '{1}'.", "Put '{1}' in {0}."),
           values.quantity, ("{r} bytes written", '{{"bytes": {r}}}'), ("{r} bytes were written to {0}.",)),
    Family("set_thermostat heat_room set_temperature", ("Set the temperature of a room",),
           (("room zone area", "string", "room", values.room), ("degrees temperature celsius", "number", "degrees", values.quantity)),
           ("Set the {0} to {1} degrees.", "Make the {0} {1} degrees warm.", "Heat the {0} to {1}.", "I want {1} degrees in the {0}."),
           values.code, _ok, _did),
    Family("post_update publish_post tweet", ("Publish a short post",),
           (("text content message", "string", "text", values.sentence),),
           ("Post '{0}'.", "Publish \"{0}\".", "Tweet: {0}", "Share this with the world: {0}"),
           values.code, _ok, _did),
    Family("roll_dice dice random_dice", ("Roll dice and add them up",),
           (("count dice n", "integer", "how many dice", values.quantity), ("sides faces", "integer", "sides of a die", values.quantity)),
           ("Roll {0} dice with {1} sides.", "Throw {0} {1}-sided dice.", "Give me {0}d{1}."),
           values.integer, ("{r}", '{{"sum": {r}}}'), ("The dice show {r}.", "You rolled {r}.")),
    Family("random_number pick_number", ("Draw a random number between two bounds",),
           (("low minimum start", "integer", "lowest", values.quantity), ("high maximum end", "integer", "highest", values.integer)),
           ("Give me a random number between {0} and {1}.", "Pick a number from {0} to {1}.", "Random {0}-{1}"),
           values.integer, ("{r}",), ("The number is {r}.",)),
    Family("add_contact save_contact", ("Save a contact",),
           (("name person", "string", "name", values.person), ("email address mail", "string", "email", values.email)),
           ("Save {0} with {1} as a contact.", "Add contact {0}, {1}.", "{0}'s email is {1}, keep it."),
           values.code, _ok, _did),
    Family("log_hours track_time add_hours", ("Log working hours on a project",),
           (("project task on", "string", "project", values.word), ("hours time amount", "number", "hours", values.number)),
           ("I worked {1} hours on {0}.", "Log {1} hours for {0}.", "{0}: {1} hours", "Book {1} h on project {0}."),
           values.number, ("total {r} hours", '{{"total_hours": {r}}}'), ("Logged. The total is {r} hours.",)),
)  # fmt: skip
_FAMILIES = (*_facts(), *_ACTS)


def family_tasks(rng: Random, count: int) -> list[Task]:
    """Draw a family, a schema of it, and ``count`` requests."""
    family = rng.choice(_FAMILIES)
    style = rng.choices([0, 1, 3], [8, 2, 1])[0]
    keys: list[str] = []
    for names, *_ in family.slots:
        keys.append(rng.choice([name for name in names.split() if name not in keys]))
    described = rng.random() < 0.7
    schemas = {
        key: parameter(kind, about if described else "")
        for key, (_, kind, about, _) in zip(keys, family.slots, strict=True)
    }
    order = list(range(len(keys)))
    if rng.random() < 0.3:
        rng.shuffle(order)
    tool = declare(
        join_name(rng.choice(family.names.split()).split("_"), style),
        rng.choice(family.descriptions),
        {keys[n]: schemas[keys[n]] for n in order},
        frozenset(),
    )
    tasks = []
    for _ in range(count):
        drawn = [draw(rng) for *_, draw in family.slots]
        arguments: JsonObject = {keys[n]: drawn[n] for n in order}
        found: JsonValue = family.result(rng)
        quoted = json.dumps(found, ensure_ascii=False)
        call = Call(tool, arguments, rng.choice(family.results).format(r=spoken(found), q=quoted))
        said = list(map(spoken, drawn))
        answer = rng.choice(family.answers).format(*said, r=spoken(found))
        request = rng.choice(family.requests).format(*said)
        tasks.append(Task(family.names.split()[0], request, ((call,),), answer, (spoken(found),)))
    return tasks
