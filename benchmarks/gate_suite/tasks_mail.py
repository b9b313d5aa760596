"""What people ask of mail, calendar, contacts and files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gate_suite.parts import Commit, Job, Plan, Task, call
from gate_suite.people import address

if TYPE_CHECKING:
    from gate_suite.world import World

__all__ = ["MAIL_TASKS"]

_WEEK = {"date_from": "2026-11-23", "date_to": "2026-11-29"}
_OLA = address("Ola Hansen")


def _number(word: str, text: str) -> str:
    return str(re.findall(rf"{word} (\d+)", text)[0])


def _sent(world: World, to: str, words: str = "") -> bool:
    sql = "SELECT count(*) FROM mails WHERE folder='sent' AND recipients = ? AND instr(body, ?)"
    return bool(world.value(sql, f'["{to}"]', words) == 1)


def next_meeting(world: World) -> Job:
    start = world.value("SELECT start FROM events WHERE title = 'Lønnssamtale'")

    def plan() -> Plan:
        found = yield call("list_events", **_WEEK)
        event = next(e for e in found["events"] if e["title"].startswith("Lønnssamtale"))
        return f"Lønnssamtalen er {event['start']}."

    return Job("Når er lønnssamtalen min denne uka?", plan, lambda a: start in a)


def budget_figure(world: World) -> Job:
    body = world.value("SELECT body FROM mails WHERE subject = 'Budsjett 2027'")
    figure = _number("på", body)

    def plan() -> Plan:
        found = yield call("list_mails", sender="ola.hansen")
        mail = yield call("read_mail", id=found["messages"][0]["id"])
        return f"Ola skriver at budsjettet er {_number('på', mail['body'])} kroner."

    return Job("Hva skrev Ola om budsjettet? Bare tallet.", plan, lambda a: figure in a)


def running_late(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("search_contacts", query="Ingrid")
        to = [found["contacts"][0]["email"]]
        yield call("send_mail", to=to, subject="Running late", body="I am 15 minutes late.")
        return "Sent."

    return Job(
        "Send Ingrid Solberg a mail: I am 15 minutes late.",
        plan,
        lambda _: _sent(world, address("Ingrid Solberg"), "15 minutes late"),
        lambda: [Commit("search_contacts"), Commit("send_mail", {"to": ["Ingrid Solberg"]})],
    )


def answer_ola(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails", sender="ola.hansen")
        mail = yield call("read_mail", id=found["messages"][0]["id"])
        subject = f"Re: {mail['subject']}"
        yield call("send_mail", to=[mail["sender"]], subject=subject, body="Ja, det passer fint.")
        return "Sendt."

    return Job(
        "Svar ola.hansen@fjordtall.example på e-posten hans om budsjettet: Ja, det passer fint.",
        plan,
        lambda _: _sent(world, _OLA, "passer fint"),
        lambda: [Commit("list_mails"), Commit("read_mail"), Commit("send_mail", {"to": [_OLA]})],
    )


def book_meeting(world: World) -> Job:
    def plan() -> Plan:
        yield call("list_events", date_from="2026-11-24", date_to="2026-11-24")
        people = []
        for name in ("Ingrid Solberg", "Per Bakken"):
            found = yield call("search_contacts", query=name)
            people.append(found["contacts"][0]["email"])
        yield call(
            "create_event", title="Budsjett", start="2026-11-24T15:00", end="2026-11-24T16:00",
            participants=people,
        )  # fmt: skip
        return "Møtet er booket."

    return Job(
        "Sjekk kalenderen min i morgen, og book så et møte med Ingrid Solberg og Per Bakken "
        "kl. 15 til 16 om budsjett.",
        plan,
        lambda _: world.value("SELECT count(*) FROM events WHERE start='2026-11-24T15:00'") == 1,
        lambda: [
            Commit("list_events"),
            Commit("search_contacts", count=2),
            Commit("create_event", {"participants": ["Ingrid Solberg", "Per Bakken"]}),
        ],
    )


def move_meeting(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_events", **_WEEK)
        event = next(e for e in found["events"] if e["title"].startswith("Statusmøte"))
        yield call("move_event", id=event["id"], start="2026-11-27T12:00", end="2026-11-27T13:00")
        return "Flytta."

    def done(_: str) -> bool:
        return bool(
            world.value("SELECT start FROM events WHERE title LIKE 'Statusmøte%'")
            == "2026-11-27T12:00"
        )

    return Job(
        "Flytt møtet «Statusmøte» til fredag 2026-11-27T12:00, det varer ein time.",
        plan,
        done,
        lambda: [
            Commit("list_events"),
            Commit("move_event", {"id": "Statusmøte", "start": "2026-11-27T12:00"}),
        ],
    )


def week_summary(world: World) -> Job:
    titles = [row["title"] for row in world.rows("SELECT title FROM events")]

    def plan() -> Plan:
        found = yield call("list_events", **_WEEK)
        return "; ".join(f"{e['start']} {e['title']}" for e in found["events"])

    return Job(
        "What is on my calendar this week?", plan, lambda a: all(title in a for title in titles)
    )


def forward_offer(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails")
        mail = next(m for m in found["messages"] if m["subject"].startswith("Tilbud"))
        to = (yield call("search_contacts", query="Per Bakken"))["contacts"][0]["email"]
        yield call("forward_mail", id=mail["id"], to=[to])
        return "Videresendt."

    return Job(
        "Videresend e-posten «Tilbud fra leverandør» til Per Bakken.",
        plan,
        lambda _: _sent(world, address("Per Bakken"), "kontorstoler"),
        lambda: [
            Commit("list_mails"),
            Commit("search_contacts"),
            Commit("forward_mail", {"id": "Tilbud fra leverandør", "to": ["Per Bakken"]}),
        ],
    )


def drop_newsletter(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails", sender="nyhetsbrev@kulturhuset.example")
        for mail in found["messages"]:
            yield call("delete_mail", id=mail["id"])
        return "Deleted."

    sql = "SELECT count(*) FROM mails WHERE folder='trash' AND sender LIKE 'nyhetsbrev%'"
    return Job(
        "Delete the mail from nyhetsbrev@kulturhuset.example.",
        plan,
        lambda _: world.value(sql) == 1,
        lambda: [
            Commit("list_mails"),
            Commit("delete_mail", {"id": "nyhetsbrev@kulturhuset.example"}),
        ],
    )


def plan_cost(world: World) -> Job:
    content = world.value("SELECT content FROM files WHERE name = 'prosjektplan.txt'")
    cost = _number("Kostnad", content)

    def plan() -> Plan:
        found = yield call("list_files")
        file = next(f for f in found["files"] if f["name"].startswith("prosjektplan"))
        text = (yield call("read_file", id=file["id"]))["content"]
        return f"{_number('Kostnad', text)} kroner."

    return Job("Hva koster prosjektet ifølge prosjektplan.txt?", plan, lambda a: cost in a)


def share_plan(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_files")
        file = next(f for f in found["files"] if f["name"].startswith("prosjektplan.txt"))
        to = (yield call("search_contacts", query="Ingrid Solberg"))["contacts"][0]["email"]
        yield call("share_file", id=file["id"], email=to)
        return "Delt."

    sql = "SELECT count(*) FROM files WHERE name LIKE 'prosjektplan%' AND shared LIKE '%ingrid%'"
    return Job(
        "Del prosjektplan.txt med Ingrid Solberg.",
        plan,
        lambda _: world.value(sql) == 1,
        lambda: [
            Commit("list_files"),
            Commit("search_contacts"),
            Commit("share_file", {"id": "prosjektplan.txt", "email": "Ingrid Solberg"}),
        ],
    )


def lunch_invitation(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails", sender="kunde@havneby.example")
        yield call("read_mail", id=found["messages"][0]["id"])
        yield call(
            "create_event", title="Lunch with the customer", start="2026-11-25T11:30",
            end="2026-11-25T12:30", participants=["kunde@havneby.example"],
        )  # fmt: skip
        return "The customer asks which order invoice 2041 is for; the lunch is booked."

    return Job(
        "Tell me what kunde@havneby.example wants, and invite them to lunch on 2026-11-25, 11:30 "
        "to 12:30.",
        plan,
        lambda _: world.value("SELECT count(*) FROM events WHERE title LIKE 'Lunch%'") == 1,
        lambda: [
            Commit("list_mails"),
            Commit("read_mail"),
            Commit("create_event", {"participants": ["kunde@havneby.example"]}),
        ],
    )


def summary_to_self(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails")
        lines = [f"- {m['sender']}: {m['subject'][:40]}" for m in found["messages"]]
        to = ["kari.nordmann@fjordtall.example"]
        yield call("send_mail", to=to, subject="Dagens e-post", body="\n".join(lines))
        return "Sendt til deg selv."

    return Job(
        "Lag en liste over e-postene i innboksen og send den til meg selv, "
        "kari.nordmann@fjordtall.example.",
        plan,
        lambda _: _sent(world, "kari.nordmann@fjordtall.example", "ola.hansen"),
        lambda: [
            Commit("list_mails"),
            Commit("send_mail", {"to": ["kari.nordmann@fjordtall.example"]}),
        ],
    )


def holiday_week(world: World) -> Job:
    body = world.value("SELECT body FROM mails WHERE subject = 'Ferieliste'")
    week = _number("veke", body)

    def plan() -> Plan:
        found = yield call("list_mails")
        mail = next(m for m in found["messages"] if m["subject"].startswith("Ferieliste"))
        text = (yield call("read_mail", id=mail["id"]))["body"]
        week = _number("veke", text)
        yield call(
            "create_event", title=f"Stengt kontor, veke {week}", start="2026-12-01T09:00",
            end="2026-12-01T09:30", participants=[],
        )  # fmt: skip
        return f"Kontoret er stengt i veke {week}; påminninga er lagt inn."

    return Job(
        "Kva veke er kontoret stengt ifølgje e-posten «Ferieliste»? Legg ei påminning i "
        "kalenderen 2026-12-01 kl. 9.",
        plan,
        lambda a: (
            week in a
            and world.value("SELECT count(*) FROM events WHERE start = '2026-12-01T09:00'") == 1
        ),
        lambda: [Commit("list_mails"), Commit("read_mail"), Commit("create_event")],
    )


def send_times(world: World) -> Job:
    def plan() -> Plan:
        to = (yield call("search_contacts", query="Per Bakken"))["contacts"][0]["email"]
        found = yield call("list_events", **_WEEK)
        event = next(e for e in found["events"] if e["title"].startswith("Customer call"))
        body = f"The customer call is {event['start']}."
        yield call("send_mail", to=[to], subject="Customer call", body=body)
        return "Sent."

    return Job(
        "Mail Per Bakken when the customer call is this week.",
        plan,
        lambda _: _sent(world, address("Per Bakken"), "customer call is 2026-"),
        lambda: [
            Commit("search_contacts"),
            Commit("list_events"),
            Commit("send_mail", {"to": ["Per Bakken"]}),
        ],
    )


def send_cost(world: World) -> Job:
    content = world.value("SELECT content FROM files WHERE name = 'prosjektplan.txt'")
    cost = _number("Kostnad", content)

    def plan() -> Plan:
        to = (yield call("search_contacts", query="Ingrid Solberg"))["contacts"][0]["email"]
        found = yield call("list_files")
        file = next(f for f in found["files"] if f["name"].startswith("prosjektplan"))
        text = (yield call("read_file", id=file["id"]))["content"]
        body = f"Prosjektet koster {_number('Kostnad', text)} kroner."
        yield call("send_mail", to=[to], subject="Kostnad", body=body)
        return "Sendt."

    return Job(
        "Finn kostnaden i prosjektplan.txt og send den til Ingrid Solberg på e-post.",
        plan,
        lambda _: _sent(world, address("Ingrid Solberg"), cost),
        lambda: [
            Commit("search_contacts"),
            Commit("list_files"),
            Commit("read_file"),
            Commit("send_mail", {"to": ["Ingrid Solberg"]}),
        ],
    )


def invite_per_mail(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_mails")
        mail = next(m for m in found["messages"] if m["subject"].startswith("Kickoff"))
        text = (yield call("read_mail", id=mail["id"]))["body"]
        end = f"2026-11-30T{9 + int(_number('takes', text)) // 60 % 12:02d}:00"
        yield call(
            "create_event", title="Kickoff", start="2026-11-30T09:00", end=end,
            participants=[mail["sender"]],
        )  # fmt: skip
        return "Invited."

    return Job(
        "Invite whoever wrote the mail «Kickoff» to a kickoff on 2026-11-30 at 9, as long as the "
        "mail says it takes.",
        plan,
        lambda _: world.value("SELECT count(*) FROM events WHERE title = 'Kickoff'") == 1,
        lambda: [Commit("list_mails"), Commit("read_mail"), Commit("create_event")],
    )


MAIL_TASKS = tuple(
    Task(build.__name__, "mail", build)
    for build in (
        next_meeting, budget_figure, running_late, answer_ola, book_meeting, move_meeting,
        week_summary, forward_offer, drop_newsletter, plan_cost, share_plan, lunch_invitation,
        summary_to_self, holiday_week, send_times, send_cost,
        invite_per_mail,
    )
)  # fmt: skip
