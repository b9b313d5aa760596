# ruff: noqa: E501 (a table of wordings)
"""The tools of the evaluation, with wordings and results: none of them is used in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentkit.messages import FunctionDeclaration

if TYPE_CHECKING:
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["POOLS", "UNSEEN", "UnseenTool"]

POOLS: Final[dict[str, tuple[str, ...]]] = {
    "town": ("Harstad", "Ghent", "Utrecht", "Malaga", "Turin", "Cork", "Bath", "Graz", "Split", "Lund", "Porto", "Bern", "Leeds", "Nantes", "Gdansk"),
    "human": ("Margrethe", "Giovanni", "Yusuf", "Beatrice", "Oskar", "Camille", "Dmitri", "Hanne", "Ravi", "Tomasz", "Astrid Berg", "John Okafor", "Ewa Nowak"),
    "eatery": ("Blue Lantern", "Casa Verde", "The Anchor", "Mirabelle", "Golden Wok", "Trattoria Roma", "Old Mill", "Saffron House"),
    "noun": ("serendipity", "ledger", "harvest", "courage", "tariff", "audit", "meadow", "lantern", "gravity", "bargain", "ballast", "quorum"),
    "plant": ("basil", "ficus", "orchid", "tomato", "fern", "monstera", "rosemary", "cactus"),
    "pet": ("Rex", "Whiskers", "Bella", "Coco", "Milo", "Luna", "Pip"),
    "chamber": ("living room", "study", "nursery", "hallway", "dining room", "conservatory"),
    "harbour": ("Svolvaer", "Brest", "Plymouth", "Kiel", "Ostend", "Vigo", "Hull", "Esbjerg"),
    "peak": ("Galdhopiggen", "Mont Blanc", "Kebnekaise", "Ben Nevis", "Triglav", "Etna", "Matterhorn"),
    "image": ("beach.jpg", "cover.png", "scan_04.tiff", "team-photo.jpeg", "logo.webp", "garden.png"),
    "source": ("main.py", "src/parser.c", "lib/index.js", "core/engine.rs", "README.rst", "tests/login.rb"),
    "quip": ("see you at the station", "the boiler was repaired", "lunch is moved to Friday", "bring the blue folder", "our flight lands late", "nobody answered the door"),
    "bank": ("Nordlys Bank", "Harbour Trust", "First Alpine", "Valley Savings", "Union Credit"),
    "channel": ("general", "random", "design-talk", "ops", "newcomers", "help-desk", "lounge"),
    "handle": ("skywalker77", "tea_lover", "m.jensen", "octocat", "nightowl", "greta_k"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnseenTool:
    """A tool. ``draws``: parameter to ``kind:from`` (a pool, a range ``2-9``, choices ``a|b``,
    ``date``, ``clock``, ``decimal``, ``serial``, ``true``); ``result`` holds ``{r}``, drawn as
    ``finds`` says, which is the fact an answer must state.
    """

    name: str
    description: str
    draws: dict[str, str]
    wordings: tuple[str, ...]
    result: str
    finds: str
    about: dict[str, str]

    @property
    def declaration(self) -> FunctionDeclaration:
        """What the model is shown."""
        properties: JsonObject = {}
        for key, spec in self.draws.items():
            kind, _, rest = spec.partition(":")
            schema: JsonObject = {"type": kind}
            if kind == "array":
                schema["items"] = {"type": "string"}
            if kind == "string" and "|" in rest:
                choices: list[JsonValue] = list(rest.split("|"))
                schema["enum"] = choices
            if key in self.about:
                schema["description"] = self.about[key]
            properties[key] = schema
        return FunctionDeclaration(
            self.name,
            self.description,
            {
                "type": "object",
                "properties": properties,
                "required": list(self.draws),
                "additionalProperties": False,
            },
        )


def _tool(  # noqa: PLR0917 (rows of a table)
    name: str, description: str, draws: str, wordings: str, result: str, finds: str, about: str = ""
) -> UnseenTool:
    """``draws``: ``key=kind:from`` and ``about``: ``key=words``, each separated by ``; ``."""
    pairs = dict(pair.split("=", 1) for pair in draws.split("; "))
    words = dict(pair.split("=", 1) for pair in about.split("; ")) if about else {}
    return UnseenTool(name, description, pairs, tuple(wordings.split(" / ")), result, finds, words)


UNSEEN: Final = (
    _tool("reserve_table", "Reserve a table at a restaurant", "restaurant=string:eatery; guests=integer:2-12; arrival=string:clock",
          "A table for {guests} at {restaurant}, {arrival}. / We want to eat at {restaurant} at {arrival}, {guests} people. / Could you get us a table at {restaurant} for {guests} guests at {arrival}? / Dinner at {restaurant}: {guests} persons, arriving {arrival}. / Keep {guests} seats at {restaurant} for {arrival}.",
          '{"confirmed": true, "booking": "{r}"}', "serial", "guests=number of people; arrival=HH:MM"),
    _tool("dim_lights", "Set how bright the lamps of a room are", "chamber=string:chamber; brightness=integer:1-100",
          "Dim the {chamber} to {brightness} percent. / Lights in the {chamber} at {brightness}%. / Make the {chamber} lamps {brightness} percent bright. / The {chamber} should be lit at {brightness}. / Brightness {brightness} for the {chamber}, thanks.",
          "{r} lamps changed", "integer:2-40", "brightness=percent"),
    _tool("pay_person", "Pay money to a person", "payee=string:human; sum=number:decimal; money=string:EUR|USD|GBP",
          "Pay {payee} {sum} {money}. / Transfer {sum} {money} to {payee}. / I owe {payee} {sum} {money}, please pay. / {payee} gets {sum} {money} from me. / Wire {payee} the sum of {sum} {money}.",
          "Payment executed, receipt {r}", "serial", "payee=who is paid"),
    _tool("tide_table", "When the sea is high at a harbour", "harbour=string:harbour; day=string:date",
          "When is high water in {harbour} on {day}? / High tide at {harbour}, {day}? / Tell me when the tide is high in {harbour} on {day}. / I sail from {harbour} on {day}, when is high tide?",
          "high water at {r}", "clock", "day=YYYY-MM-DD"),
    _tool("define_word", "Give the dictionary definition of a word", "word=string:noun",
          "What does '{word}' mean? / Define {word}. / Dictionary: {word} / What is the definition of \"{word}\"? / Explain the word {word} from the dictionary.",
          "{r}", "quip"),
    _tool("water_plant", "Water a plant", "plant=string:plant; millilitres=integer:50-900",
          "Give the {plant} {millilitres} ml of water. / Water the {plant} with {millilitres} millilitres. / The {plant} is dry, pour {millilitres} ml. / {millilitres} ml for the {plant}.",
          '{"soil_moisture": {r}}', "integer:10-99"),
    _tool("set_lock", "Lock or unlock a door", "door=string:front|back|cellar|gate; action=string:lock|unlock",
          "Please {action} the {door} door. / {action} {door}! / Can you {action} the {door} door for me? / The {door} door: {action} it.",
          "door state code {r}", "integer:100-999"),
    _tool("flight_status", "Status of a flight by its number", "flight=string:serial",
          "Is flight {flight} on time? / How is {flight} doing? / Status of flight {flight}? / Has {flight} landed? / My aunt comes with {flight}, when does it arrive?",
          '{"flight_state": "airborne", "lands": "{r}"}', "clock"),
    _tool("sunrise_time", "Time of sunrise", "town=string:town; morning=string:date",
          "When does the sun rise in {town} on {morning}? / Sunrise in {town}, {morning}? / At what time is sunrise on {morning} in {town}? / I get up with the sun in {town} on {morning}, when is that?",
          "{r}", "clock", "morning=date"),
    _tool("log_pressure", "Store a blood pressure reading", "systolic=integer:95-180; diastolic=integer:55-99",
          "My blood pressure is {systolic} over {diastolic}. / Store the reading {systolic}/{diastolic}. / Note a blood pressure of {systolic} to {diastolic}. / Systolic {systolic}, diastolic {diastolic}, save that.",
          "reading no. {r} stored", "integer:2-900"),
    _tool("make_password", "Generate a password", "characters=integer:8-40; symbols=boolean:true",
          "I need a password of {characters} characters with symbols. / Generate a {characters} character password, symbols included. / A new password, length {characters}, symbols yes.",
          "{r}", "serial", "symbols=whether it has symbols"),
    _tool("mortgage_rate", "Interest rate of a mortgage", "lender=string:bank; term_years=integer:5-30",
          "What rate does {lender} give for {term_years} years? / Mortgage at {lender} over {term_years} years: which interest? / How much interest does {lender} take on a {term_years} year mortgage?",
          "{r} percent", "decimal"),
    _tool("move_robot", "Move the robot", "direction=string:forward|backward|left|right; steps=integer:1-50",
          "Robot, go {steps} steps {direction}. / Move {direction} by {steps} steps. / Walk the robot {steps} steps to {direction}. / {steps} steps {direction}, robot.",
          '{"battery": {r}}', "integer:5-99"),
    _tool("mute_user", "Silence a user of the chat for some minutes", "username=string:handle; minutes=integer:5-240",
          "Mute {username} for {minutes} minutes. / {username} is rude, silence them for {minutes} min. / No messages from {username} for the next {minutes} minutes. / Give {username} a break of {minutes} minutes.",
          "muted until {r}", "clock"),
    _tool("rename_channel", "Give a chat channel another name", "old_name=string:channel; new_name=string:noun",
          "Rename the channel {old_name} to {new_name}. / Channel {old_name} shall be called {new_name}. / Call #{old_name} {new_name} from now on. / Change the name of {old_name} into {new_name}.",
          "renamed; {r} members were told", "integer:3-800"),
    _tool("start_poll", "Start a poll with several options", "question=string:quip; options=array:noun",
          "Start a poll '{question}' with the options {options}. / Poll: {question}. Options: {options} / Ask everybody '{question}' and let them choose from {options}.",
          "poll {r} is open", "serial"),
    _tool("compress_image", "Make an image file smaller", "image=string:image; quality=integer:10-95",
          "Compress {image} to quality {quality}. / Make {image} smaller, quality {quality}. / Shrink {image} at {quality} percent quality. / {image} is too big, use quality {quality}.",
          "{r} kB", "integer:20-4000", "quality=0-100"),
    _tool("git_blame", "Who last changed a line of a source file", "source=string:source; line=integer:1-900",
          "Who wrote line {line} of {source}? / Who changed {source} line {line}? / Blame {source}:{line} / Which person touched line {line} in {source} last?",
          '{"author": "{r}"}', "human"),
    _tool("status_meaning", "Explain an HTTP status code", "status_code=integer:200-599",
          "What does HTTP {status_code} mean? / My server says {status_code}. What is that? / Explain status code {status_code}. / I get error {status_code} from the web server, meaning?",
          "{r}", "quip"),
    _tool("preheat_oven", "Preheat the oven", "celsius=integer:80-250; mode=string:fan|grill|steam",
          "Preheat the oven to {celsius} degrees, {mode}. / Oven at {celsius} on {mode}, please. / Warm up the oven: {celsius} C with {mode}. / I am baking at {celsius} degrees using {mode}, start the oven.",
          "ready at {r}", "clock"),
    _tool("feed_pet", "Give a pet its food", "pet=string:pet; grams=integer:20-500",
          "Feed {pet} {grams} grams. / {pet} is hungry, {grams} g please. / Give {grams} grams of food to {pet}. / Time for {pet}'s dinner: {grams} g.",
          "{r} g left in the box", "integer:100-5000"),
    _tool("ferry_departures", "Next ferry between two harbours", "leaves=string:harbour; reaches=string:harbour",
          "When does the next ferry go from {leaves} to {reaches}? / Ferry {leaves} - {reaches}, next departure? / I am in {leaves} and need a boat to {reaches}. / Next boat from {leaves} over to {reaches}?",
          "{r}", "clock", "leaves=harbour of departure; reaches=harbour of arrival"),
    _tool("iban_valid", "Check an account number", "iban=string:serial",
          "Is {iban} a valid account number? / Check the IBAN {iban}. / Can I trust the account number {iban}? / Test {iban}, is it a real IBAN?",
          '{"valid": true, "held_by": "{r}"}', "human"),
    _tool("write_cell", "Write a number into a spreadsheet cell", "cell=string:A1|B7|C12|D3|F20|H5; entry=number:decimal",
          "Write {entry} into cell {cell}. / Put {entry} in {cell}. / Cell {cell} should be {entry}. / Set {cell} to {entry} in the sheet.",
          "sheet version {r}", "integer:2-900"),
    _tool("mountain_height", "Height of a mountain in metres", "mountain=string:peak",
          "How high is {mountain}? / What is the elevation of {mountain}? / Height of {mountain} in metres? / How tall is the mountain {mountain}?",
          "{r}", "integer:400-8000"),
    _tool("detect_language", "Tell which language a text is in", "sample=string:quip",
          "Which language is '{sample}'? / In what language is this written: {sample} / Detect the language of \"{sample}\". / What tongue is '{sample}'?",
          '{"detected": "{r}"}', "string:Faroese|Catalan|Welsh|Basque|Maltese"),
    _tool("vaccination_record", "Vaccinations of a patient", "patient=string:human; since=integer:1990-2024",
          "Which vaccinations has {patient} had since {since}? / Vaccines of {patient} from {since} on? / Show what {patient} was vaccinated against since {since}.",
          "tetanus, on {r}", "date", "since=first year"),
    _tool("charge_car", "Charge the electric car", "percent=integer:30-100; ready_by=string:clock",
          "Charge the car to {percent}% by {ready_by}. / I leave at {ready_by}, car at {percent} percent please. / Fill the battery of the car to {percent} percent before {ready_by}.",
          "charging, cost {r}", "decimal"),
)  # fmt: skip
