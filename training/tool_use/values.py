# ruff: noqa: PLR2004, SIM905 (tables of wordings, drawn by odds: no secret)
"""Values drawn for requests: mostly made up, so that copying is learnt and nothing memorised."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "amount",
    "city",
    "code",
    "company",
    "date",
    "email",
    "integer",
    "number",
    "path",
    "person",
    "phrase",
    "quantity",
    "rare",
    "room",
    "sentence",
    "time",
    "word",
]

_ONSETS = "b c d f g h j k l m n p r s t v w z br cl dr fl gr kr pl pr sk sl st tr th sh".split()
_VOWELS = "a e i o u a e i o ai ea ou".split()
_CODAS = ["", "", "", "n", "r", "l", "s", "m", "t", "nd", "rk", "lt", "x"]
_FIRST = """Anna Bob Kari Ola Maria Liam Noah Emma Sofia Ivan Wei Fatima Lars Nora Jonas Priya Omar
Lucy Hugo Mia Tariq Elena Sven Aiko Diego Chloe Rashid Ingrid Pavel Zoe Kwame Leila""".split()
_CITIES = """Oslo Bergen Paris Tokyo Lima Cairo Berlin Madrid Toronto Nairobi Seoul Delhi Boston
Denver Lagos Quito Hanoi Prague Vienna Dublin Lisbon Athens Osaka Perth Zagreb Tallinn""".split()
_WORDS = """apple river
blue winter coffee paper music bridge stone cloud market window silver forest planet
bread ticket lamp budget meeting report client contract delivery schedule review launch update
backup server invoice travel training safety quality summer orange laptop cable printer chair
project annual weekly monthly north south final draft broken early quick green heavy small water
ocean mountain road train station hotel apron arrow autumn bakery balcony bamboo banana barrel
basket beacon berry bicycle blanket bottle bracket branch brick bucket butter button cabin camera
candle canvas carpet castle cattle ceiling cellar cement chapel charcoal cheese cherry chimney
circle clinic clover cluster coast cobalt column comet compass copper coral corner cotton cradle
crane crystal curtain cushion daisy danger dawn diamond dolphin donkey dragon drawer dust eagle
echo elbow ember emerald engineer falcon feather fiddle finger flame flower fossil fountain
freight frost fruit funnel furnace galaxy garlic ginger glacier globe glove granite grape gravel
guitar hammer handle hazel helmet herring hinge honey horizon hornet iceberg island ivory jacket
jungle kettle kitchen ladder lagoon leather lemon lettuce library lilac linen lobster locket
lumber magnet mango maple marble marine mask meteor mirror mitten monsoon mosaic mustard napkin
needle nickel oak oasis olive onion opal orchard organ otter oyster paddle palace panther parcel
parrot pastel peach pearl pebble pepper piano pillow pine pirate pistol plaster platform plum
pocket pond poplar potato prairie puzzle quarry quartz quilt rabbit raccoon radar raft rainbow
raven reef ribbon ridge rocket rubber saddle sail salmon sandal sapphire saucer scarf school
scooter sector shadow shelter shovel shrimp signal silk skillet sleeve slipper snow spider spinach
spiral spoon spruce squirrel stable staircase statue steam string studio sugar sunset swallow
table temple thistle thunder tiger timber tobacco torch tower tractor tunnel turbine turtle
umbrella vanilla velvet vessel village vineyard violin volcano wagon walnut walrus warehouse
waterfall whale wheat whistle willow wizard wool yacht zebra account agency answer artist author
bishop captain chef citizen clerk coach colonel cousin dancer dentist doctor editor farmer guest
guide hunter judge lawyer mayor miner nurse painter pilot poet priest sailor scholar servant
sheriff soldier tailor teacher tenant trader uncle waiter writer""".split()
_ROOMS = """kitchen|bedroom|office|hall|garage|attic|lounge|guest room|laundry room|front hall|back
porch|wine cellar|play room|utility room|boiler room|server room|top floor|meeting room|bike shed
|winter garden|upper landing|spare bedroom|main entrance|waiting room|reading corner""".replace(
    "\n", " "
)
_FIRMS = "Bank Holding Foods Partners Shipping Insurance Group Mutual Capital Energy".split()
_OPENERS = ["please", "the", "our", "your", "new", "all", "no", "we need", "remember", "about the"]
_DOMAINS = ["com", "org", "net", "no", "io", "co.uk", "example", "de"]
_ENDINGS = ["txt", "csv", "pdf", "md", "json", "xlsx", "log", "docx"]


def word(rng: Random) -> str:
    """Return a rare word, or a made-up one of one to three syllables."""
    if rng.random() < 0.4:
        return rare(rng)
    return "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)
        for _ in range(rng.choice([1, 2, 2, 3]))
    )


@cache
def _rare_words() -> tuple[str, ...]:
    """Return the words in the names of Unicode's signs: some thousands, most of them rare."""
    names = (unicodedata.name(chr(n), "") for n in range(0x2000, 0x1FB00))
    signs = (
        name for name in names if not name.startswith(("HANGUL", "CJK", "YI ", "TANGUT", "VAI"))
    )
    found = {word for name in signs for word in re.findall(r"[A-Z]{4,11}", name)}
    return tuple(sorted(word.lower() for word in found if re.search("[AEIOU]", word)))


def rare(rng: Random) -> str:
    """Return a word that is rare in what people write."""
    return rng.choice(_rare_words())


def room(rng: Random) -> str:
    """Return a part of a house, of one word or two."""
    return rng.choice(_ROOMS.split("|")).strip()


def company(rng: Random) -> str:
    """Return the name of a firm."""
    first = rng.choice([word, rare])(rng).capitalize()
    return f"{first} {rng.choice(_FIRMS)}" if rng.random() < 0.7 else first


def person(rng: Random) -> str:
    """Return a first name, or a full name, known or made up."""
    first = rng.choice(_FIRST) if rng.random() < 0.6 else word(rng).capitalize()
    return first if rng.random() < 0.6 else f"{first} {word(rng).capitalize()}"


def city(rng: Random) -> str:
    """Return a place's name."""
    if rng.random() < 0.5:
        return rng.choice(_CITIES)
    made = word(rng).capitalize()
    return rng.choice([made, made, f"{made} {rng.choice(['Bay', 'Hill', 'Falls', 'City'])}"])


def phrase(rng: Random, most: int = 4) -> str:
    """Return a few words without meaning together."""
    words = rng.sample(_WORDS, rng.randint(1, most))
    if rng.random() < 0.4:
        words[rng.randrange(len(words))] = rng.choice([word, rare])(rng)
    if rng.random() < 0.15:
        words = [word.capitalize() for word in words]
    return " ".join(words)


def sentence(rng: Random) -> str:
    """Return what somebody might write in a message."""
    said = f"{rng.choice(_OPENERS)} {phrase(rng, 5)}"
    return said.capitalize() if rng.random() < 0.5 else said


def integer(rng: Random) -> int:
    """Return a whole number of one to six digits."""
    return rng.randint(1, 10 ** rng.choice([1, 2, 2, 3, 4, 5, 6]))


def quantity(rng: Random) -> int:
    """Return a small whole number."""
    return rng.randint(2, 60)


def number(rng: Random) -> int | float:
    """Return a number, half of them with decimals."""
    if rng.random() < 0.5:
        return integer(rng)
    return round(rng.uniform(0.1, 10 ** rng.choice([1, 2, 3, 4])), rng.choice([1, 2]))


def amount(rng: Random) -> int | float:
    """Return a sum of money."""
    return rng.choice(
        [rng.randint(5, 900), rng.randint(10, 99) * 100, round(rng.uniform(1, 999), 2)]
    )


def date(rng: Random) -> str:
    """Return a date, YYYY-MM-DD."""
    return (dt.date(2021, 1, 1) + dt.timedelta(rng.randrange(3000))).isoformat()


def time(rng: Random) -> str:
    """Return a time, HH:MM."""
    minute = rng.choice([0, 15, 30, 45]) if rng.random() < 0.5 else rng.randrange(60)
    return f"{rng.randrange(24):02d}:{minute:02d}"


def code(rng: Random) -> str:
    """Return an identifier such as ``KX-4821``."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(1, 3)))
    digits = rng.randint(10, 99999)
    return rng.choice(
        [f"{letters}-{digits}", f"{letters}{digits}", f"{word(rng)}-{digits}", f"#{digits}"]
    )


def email(rng: Random) -> str:
    """Return an address."""
    left = rng.choice([word(rng), f"{rng.choice(_FIRST).lower()}.{word(rng)}"])
    return f"{left}@{word(rng)}.{rng.choice(_DOMAINS)}"


def path(rng: Random) -> str:
    """Return a file name, sometimes with folders."""
    name = f"{rng.choice([word(rng), '_'.join(phrase(rng, 2).split())])}.{rng.choice(_ENDINGS)}"
    return rng.choice(
        [name, name, f"{word(rng)}/{name}", f"/{word(rng)}/{rng.choice(_WORDS)}/{name}"]
    )
