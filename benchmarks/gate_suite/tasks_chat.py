"""What people ask of team chat and the web."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gate_suite.parts import Commit, Job, Plan, Task, call
from gate_suite.people import address

if TYPE_CHECKING:
    from gate_suite.world import World

__all__ = ["CHAT_TASKS"]

_PROJECT = "prosjekt-havneby"


def _posted(world: World, channel: str, words: str) -> bool:
    sql = "SELECT count(*) FROM posts WHERE channel = ? AND sender LIKE 'kari%' AND instr(text, ?)"
    return bool(world.value(sql, channel, words) == 1)


def _direct(world: World, to: str, words: str) -> bool:
    sql = "SELECT count(*) FROM direct WHERE recipient = ? AND instr(text, ?)"
    return bool(world.value(sql, to, words) == 1)


def delivery_date(world: World) -> Job:
    sql = "SELECT text FROM posts WHERE channel = ? AND text LIKE 'Leveransen%'"
    day = re.findall(r"(\d+)\. desember", world.value(sql, _PROJECT))[0]

    def plan() -> Plan:
        found = yield call("read_channel", channel=_PROJECT)
        text = next(p["text"] for p in found["posts"] if p["text"].startswith("Leveransen"))
        return re.findall(r"(\d+\. desember)", text)[0]  # type: ignore[no-any-return]

    return Job("Når er leveransen til Havneby, ifølge #prosjekt-havneby?", plan, lambda a: day in a)


def catch_up(world: World) -> Job:
    sql = "SELECT text FROM posts WHERE channel = 'general'"
    texts = [row["text"] for row in world.rows(sql)]

    def plan() -> Plan:
        found = yield call("read_channel", channel="general")
        return "\n".join(p["text"] for p in found["posts"])

    return Job("What did I miss in #general?", plan, lambda a: all(t in a for t in texts))


def announce(world: World) -> Job:
    def plan() -> Plan:
        yield call("post_message", channel="general", text="Kake på kjøkkenet kl. 14!")
        return "Lagt ut."

    return Job(
        "Skriv i #general: Kake på kjøkkenet kl. 14!",
        plan,
        lambda _: _posted(world, "general", "Kake på kjøkkenet"),
        lambda: [Commit("post_message", {"channel": "general"})],
    )


def take_the_shift(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("read_channel", channel="general")
        asked = any("vakta" in p["text"] for p in found["posts"])
        if asked:
            yield call("post_message", channel="general", text="Eg kan ta vakta i helga.")
        return "Ja, dei treng nokon; eg har svart."

    return Job(
        "Sjå i #general om nokon treng vakt i helga. I så fall: svar der at eg kan ta ho.",
        plan,
        lambda _: _posted(world, "general", "ta vakta i helga"),
        lambda: [
            Commit("read_channel", {"channel": "general"}),
            Commit("post_message", {"channel": "general"}),
        ],
    )


def project_summary(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("read_channel", channel=_PROJECT)
        lines = "\n".join(f"- {p['text'][:60]}" for p in found["posts"])
        yield call("post_message", channel=_PROJECT, text=f"Oppsummering:\n{lines}")
        return "Oppsummert."

    return Job(
        "Oppsummer dagens meldinger i #prosjekt-havneby og legg oppsummeringen ut i samme kanal.",
        plan,
        lambda _: _posted(world, _PROJECT, "Oppsummering"),
        lambda: [
            Commit("read_channel", {"channel": "prosjekt-havneby"}),
            Commit("post_message", {"channel": _PROJECT}),
        ],
    )


def tell_ola(world: World) -> Job:
    ola = address("Ola Hansen")

    def plan() -> Plan:
        found = yield call("list_users")
        to = next(u["email"] for u in found["users"] if u["name"] == "Ola Hansen")
        yield call("send_direct", to=to, text="I am in room Fjord.")
        return "Sent."

    return Job(
        "Tell Ola Hansen directly: I am in room Fjord.",
        plan,
        lambda _: _direct(world, ola, "room Fjord"),
        lambda: [Commit("list_users"), Commit("send_direct", {"to": "Ola Hansen"})],
    )


def answer_direct(world: World) -> Job:
    per = address("Per Bakken")
    sql = "SELECT text FROM direct WHERE sender = ?"
    hour = re.findall(r"kl\. (\d+)", world.value(sql, per))[0]

    def plan() -> Plan:
        found = yield call("read_direct", sender=per)
        hour = re.findall(r"kl\. (\d+)", found["posts"][0]["text"])[0]
        yield call("send_direct", to=per, text="Ja, det passar.")
        return f"Han vil snakke kl. {hour}; eg har svart ja."

    return Job(
        f"Når vil {per} snakke med meg? Svar ja til han.",
        plan,
        lambda a: hour in a and _direct(world, per, "det passar"),
        lambda: [Commit("read_direct", {"sender": per}), Commit("send_direct", {"to": per})],
    )


def euro_rate(world: World) -> Job:
    text = world.value("SELECT text FROM pages WHERE url LIKE '%valuta%'")
    rate = re.findall(r"([\d.]+) kroner", text)[0]

    def plan() -> Plan:
        page = yield call("fetch_page", url="https://valuta.example/eur")
        return f"{re.findall('([0-9.]+) kroner', page['text'])[0]} kroner"

    return Job("Hva koster en euro ifølge valuta.example/eur?", plan, lambda a: rate in a)


def rate_to_project(world: World) -> Job:
    text = world.value("SELECT text FROM pages WHERE url LIKE '%valuta%'")
    rate = re.findall(r"([\d.]+) kroner", text)[0]

    def plan() -> Plan:
        page = yield call("fetch_page", url="https://valuta.example/eur")
        rate = re.findall("([0-9.]+) kroner", page["text"])[0]
        yield call("post_message", channel=_PROJECT, text=f"Eurokursen er {rate}.")
        return f"Posted {rate}."

    return Job(
        "Look up the euro on https://valuta.example/eur and post the rate in #prosjekt-havneby.",
        plan,
        lambda _: _posted(world, _PROJECT, rate),
        lambda: [
            Commit("fetch_page", {"url": "https://valuta.example/eur"}),
            Commit("post_message", {"channel": _PROJECT}),
        ],
    )


def road_search(_world: World) -> Job:
    def plan() -> Plan:
        found = yield call("web_search", query="E16 stengt")
        page = yield call("fetch_page", url=found["results"][0]["url"])
        return page["text"]  # type: ignore[no-any-return]

    return Job("Er E16 stengt i dag? Søk på nettet.", plan, lambda a: "til kl. 18" in a)


def tender_deadline(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("web_search", query="anbud Havneby")
        yield call("fetch_page", url=found["results"][0]["url"])
        yield call(
            "send_direct", to="per.bakken@fjordtall.example", text="Anbudsfristen er 15. januar."
        )
        return "Fristen er 15. januar; Per vet det."

    return Job(
        "Finn anbudsfristen for Havneby på nettet og send den til per.bakken@fjordtall.example.",
        plan,
        lambda _: _direct(world, address("Per Bakken"), "15. januar"),
        lambda: [
            Commit("web_search"),
            Commit("fetch_page"),
            Commit("send_direct", {"to": address("Per Bakken")}),
        ],
    )


def new_channel(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_channels")
        if all(c["name"] != "julebord" for c in found["channels"]):
            yield call("create_channel", name="julebord")
        return "Kanalen finst no."

    return Job(
        "Opprett kanalen julebord, viss han ikkje finst.",
        plan,
        lambda _: world.value("SELECT count(*) FROM channels WHERE name = 'julebord'") == 1,
        lambda: [Commit("list_channels"), Commit("create_channel", {"name": "julebord"})],
    )


def who_is_in(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_channels")
        channel = next(c for c in found["channels"] if c["name"] == "ledelse")
        yield call("post_message", channel="ledelse", text="Møte kl. 15.")
        return ", ".join(channel["members"])

    return Job(
        "Who is in #ledelse? Also post there: Møte kl. 15.",
        plan,
        lambda a: address("Ola Hansen") in a and _posted(world, "ledelse", "Møte kl. 15"),
        lambda: [Commit("list_channels"), Commit("post_message", {"channel": "ledelse"})],
    )


def add_per(world: World) -> Job:
    per = address("Per Bakken")

    def plan() -> Plan:
        yield call("read_channel", channel="ledelse")
        yield call("invite", email=per, channel="ledelse")
        return "Per is in."

    return Job(
        f"Read #ledelse, tell me if anybody asked for Per, and invite {per} to #ledelse.",
        plan,
        lambda _: per in world.value("SELECT members FROM channels WHERE name = 'ledelse'"),
        lambda: [
            Commit("read_channel", {"channel": "ledelse"}),
            Commit("invite", {"email": per, "channel": "ledelse"}),
        ],
    )


def topic_to_per(world: World) -> Job:
    topic = world.value("SELECT topic FROM channels WHERE name = 'general'")

    def plan() -> Plan:
        found = yield call("list_channels")
        topic = next(c["topic"] for c in found["channels"] if c["name"] == "general")
        text = f"Emnet er: {topic[:20]}"
        yield call("send_direct", to="per.bakken@fjordtall.example", text=text)
        return "Sendt."

    return Job(
        "Hva er emnet for kanalen general? Send det direkte til per.bakken@fjordtall.example.",
        plan,
        lambda _: _direct(world, address("Per Bakken"), topic),
        lambda: [
            Commit("list_channels"),
            Commit("send_direct", {"to": "per.bakken@fjordtall.example"}),
        ],
    )


def open_the_link(world: World) -> Job:
    world.add(
        "posts", channel="general", sender=address("Ola Hansen"), time="2026-11-23T09:30",
        text="Ny versjon, se https://docs.fjordtall.example/release",
    )  # fmt: skip

    def plan() -> Plan:
        found = yield call("read_channel", channel="general")
        texts = [post["text"] for post in found["posts"]]
        link = next(re.findall(r"https://docs\S+", t)[0] for t in texts if "https://docs" in t)
        page = yield call("fetch_page", url=link)
        return str(page["text"])

    return Job(
        "Ola posted a link to the new version in #general. What does the page say?",
        plan,
        lambda a: "fixes sync" in a,
        lambda: [Commit("read_channel", {"channel": "general"}), Commit("fetch_page")],
    )


CHAT_TASKS = tuple(
    Task(build.__name__, "chat", build)
    for build in (
        delivery_date, catch_up, announce, take_the_shift, project_summary, tell_ola,
        answer_direct, euro_rate, rate_to_project, road_search, tender_deadline, new_channel,
        who_is_in, add_per, topic_to_per, open_the_link,
    )
)  # fmt: skip
