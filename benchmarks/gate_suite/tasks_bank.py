"""What people ask of a company's bank."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gate_suite.parts import Commit, Job, Plan, Task, call

if TYPE_CHECKING:
    from gate_suite.world import World

__all__ = ["BANK_TASKS"]

_NOVEMBER = {"date_from": "2026-11-01", "date_to": "2026-11-30"}


def _paid(world: World, iban: str, amount: float) -> bool:
    sql = "SELECT count(*) FROM payments WHERE iban = ? AND amount = ?"
    return bool(world.value(sql, iban, amount) == 1)


def _iban(world: World, name: str) -> str:
    return str(world.value("SELECT iban FROM payees WHERE name = ?", name))


def balance(world: World) -> Job:
    amount = world.value("SELECT balance FROM accounts WHERE name = 'Driftskonto'")

    def plan() -> Plan:
        found = yield call("get_accounts")
        return str(next(a["balance"] for a in found["accounts"] if a["name"] == "Driftskonto"))

    return Job("Kor mykje står det på driftskontoen?", plan, lambda a: str(amount) in a)


def spent(world: World) -> Job:
    sql = "SELECT -sum(amount) FROM transactions WHERE amount < 0"
    total = world.value(sql)

    def plan() -> Plan:
        found = yield call("list_transactions", **_NOVEMBER)
        return f"{-sum(t['amount'] for t in found['transactions'] if t['amount'] < 0)} kroner"

    return Job("How much did we spend in November?", plan, lambda a: str(total) in a)


def last_lunch(world: World) -> Job:
    dates = [r["date"] for r in world.rows("SELECT date FROM transactions ORDER BY date DESC")]

    def plan() -> Plan:
        found = yield call("list_transactions", **_NOVEMBER)
        last = found["transactions"][-1]
        return f"{last['date']}: {last['counterparty']}, {last['reference']}"

    return Job("Hva var den siste transaksjonen i november?", plan, lambda a: dates[0] in a)


def pay_power(world: World) -> Job:
    issuer = "Fjellkraft AS"
    amount = world.value("SELECT amount FROM invoices WHERE issuer = ?", issuer)
    iban = _iban(world, issuer)

    def plan() -> Plan:
        found = yield call("list_invoices")
        invoice = next(i for i in found["invoices"] if i["issuer"] == issuer)
        yield call("pay_invoice", id=invoice["id"])
        return "Betalt."

    return Job(
        "Betal e-fakturaen fra Fjellkraft AS.",
        plan,
        lambda _: _paid(world, iban, amount),
        lambda: [Commit("list_invoices"), Commit("pay_invoice", {"id": "Fjellkraft AS"})],
    )


def due_invoices(world: World) -> Job:
    issuers = [row["issuer"] for row in world.rows("SELECT issuer FROM invoices")]

    def plan() -> Plan:
        found = yield call("list_invoices")
        return "; ".join(f"{i['issuer']} {i['amount']} {i['due']}" for i in found["invoices"])

    return Job(
        "Which e-invoices are due, and when?", plan, lambda a: all(name in a for name in issuers)
    )


def pay_payee(world: World) -> Job:
    name = "Bryggen Regnskap AS"
    iban = _iban(world, name)

    def plan() -> Plan:
        found = yield call("list_payees")
        to = next(p["iban"] for p in found["payees"] if p["name"] == name)
        yield call("make_payment", iban=to, amount=4500, reference="Regnskap november")
        return "Betalt."

    return Job(
        "Betal 4500 kroner til Bryggen Regnskap AS, merket Regnskap november.",
        plan,
        lambda _: _paid(world, iban, 4500.0),
        lambda: [
            Commit("list_payees"),
            Commit("make_payment", {"iban": "Bryggen Regnskap AS", "amount": 4500}),
        ],
    )


def pay_if_not_paid(world: World) -> Job:
    name = "Nordlys Trykkeri AS"
    iban = _iban(world, name)

    def plan() -> Plan:
        yield call("list_transactions", **_NOVEMBER)
        found = yield call("list_payees")
        to = next(p["iban"] for p in found["payees"] if p["name"] == name)
        yield call("make_payment", iban=to, amount=12750.5, reference="Katalog")
        return "Katalogen var ikke betalt; nå er den det."

    return Job(
        "Se på transaksjonene i november: er katalogen til 12 750,50 kr fra Nordlys Trykkeri AS "
        "betalt? Hvis ikke, betal den, merket Katalog.",
        plan,
        lambda _: _paid(world, iban, 12750.5),
        lambda: [
            Commit("list_transactions"),
            Commit("list_payees"),
            Commit("make_payment", {"iban": "Nordlys Trykkeri AS", "amount": 12750.5}),
        ],
    )


def pay_bill_document(world: World) -> Job:
    text = world.value("SELECT content FROM documents WHERE name = 'faktura-vestby.txt'")
    (amount, iban) = re.findall(r"Beløp (\d+) kr til konto (\w+)", text)[0]

    def plan() -> Plan:
        found = yield call("list_documents")
        file = next(d for d in found["documents"] if d["name"].startswith("faktura-vestby"))
        bill = (yield call("read_document", id=file["id"]))["content"]
        amount, iban = re.findall(r"Beløp (\d+) kr til konto (\w+)", bill)[0]
        yield call("make_payment", iban=iban, amount=int(amount), reference="7731")
        return "Betalt."

    return Job(
        "Betal regningen i faktura-vestby.txt.",
        plan,
        lambda _: _paid(world, iban, float(amount)),
        lambda: [Commit("list_documents"), Commit("read_document"), Commit("make_payment")],
    )


def raise_rent(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_standing")
        order = next(s for s in found["standing"] if s["payee"] == "Granli Byggservice AS")
        yield call("change_standing", id=order["id"], amount=13400)
        return "Changed."

    sql = "SELECT amount FROM standing WHERE payee = 'Granli Byggservice AS'"
    return Job(
        "Raise the standing order to Granli Byggservice AS to 13,400 kroner.",
        plan,
        lambda _: world.value(sql) == 13400,  # noqa: PLR2004 - the request's figure
        lambda: [
            Commit("list_standing"),
            Commit("change_standing", {"id": "Granli Byggservice AS", "amount": 13400}),
        ],
    )


def rent_from_contract(world: World) -> Job:
    text = world.value("SELECT content FROM documents WHERE name = 'leieavtale.txt'")
    rent = re.findall(r"er (\d+) kroner", text)[0]

    def plan() -> Plan:
        found = yield call("list_documents")
        file = next(d for d in found["documents"] if d["name"].startswith("leieavtale"))
        text = (yield call("read_document", id=file["id"]))["content"]
        return f"Husleien blir {re.findall(r'er ([0-9]+) kroner', text)[0]} kroner."

    return Job("Hva blir husleien ifølge leieavtale.txt?", plan, lambda a: rent in a)


def cancel_power(world: World) -> Job:
    def plan() -> Plan:
        found = yield call("list_standing")
        order = next(s for s in found["standing"] if s["payee"] == "Fjellkraft AS")
        yield call("cancel_standing", id=order["id"])
        return "Avslutta."

    sql = "SELECT count(*) FROM standing WHERE payee = 'Fjellkraft AS'"
    return Job(
        "Avslutt den faste betalinga til Fjellkraft AS.",
        plan,
        lambda _: world.value(sql) == 0,
        lambda: [Commit("list_standing"), Commit("cancel_standing", {"id": "Fjellkraft AS"})],
    )


def move_to_savings(world: World) -> Job:
    iban = world.value("SELECT iban FROM accounts WHERE name = 'Sparekonto'")

    def plan() -> Plan:
        yield call("list_notices")
        found = yield call("get_accounts")
        to = next(a["iban"] for a in found["accounts"] if a["name"] == "Sparekonto")
        yield call("make_payment", iban=to, amount=50000, reference="Sparing")
        return "Moved; the new rate is in the bank's message."

    return Job(
        "Read the bank's messages about the new rate, then move 50,000 kroner to Sparekonto.",
        plan,
        lambda _: _paid(world, iban, 50000.0),
        lambda: [
            Commit("list_notices"),
            Commit("get_accounts"),
            Commit("make_payment", {"iban": "Sparekonto", "amount": 50000}),
        ],
    )


def new_address(world: World) -> Job:
    def plan() -> Plan:
        yield call("list_notices")
        yield call("change_address", address="Nygårdsgaten 12, 5015 Bergen")
        return "Ingen meldinger krever svar. Adressen er endret."

    sql = "SELECT value FROM settings WHERE key = 'address'"
    return Job(
        "Er det noe viktig i meldingene fra banken? Endre også adressen vår til "
        "Nygårdsgaten 12, 5015 Bergen.",
        plan,
        lambda _: world.value(sql) == "Nygårdsgaten 12, 5015 Bergen",
        lambda: [
            Commit("list_notices"),
            Commit("change_address", {"address": "Nygårdsgaten 12, 5015 Bergen"}),
        ],
    )


def rent_as_agreed(world: World) -> Job:
    text = world.value("SELECT content FROM documents WHERE name = 'leieavtale.txt'")
    rent = float(re.findall(r"er (\d+) kroner", text)[0])

    def plan() -> Plan:
        found = yield call("list_documents")
        file = next(d for d in found["documents"] if d["name"].startswith("leieavtale"))
        text = (yield call("read_document", id=file["id"]))["content"]
        found = yield call("list_standing")
        order = next(s for s in found["standing"] if s["payee"] == "Granli Byggservice AS")
        amount = int(re.findall(r"er (\d+) kroner", text)[0])
        yield call("change_standing", id=order["id"], amount=amount)
        return "Endret."

    sql = "SELECT amount FROM standing WHERE payee = 'Granli Byggservice AS'"
    return Job(
        "Sett den faste betalingen til Granli Byggservice AS til husleien i leieavtale.txt.",
        plan,
        lambda _: world.value(sql) == rent,
        lambda: [
            Commit("list_documents"),
            Commit("read_document"),
            Commit("list_standing"),
            Commit("change_standing", {"id": "Granli Byggservice AS"}),
        ],
    )


def refund_last(world: World) -> Job:
    row = world.row("SELECT iban, amount FROM transactions ORDER BY date DESC")

    def plan() -> Plan:
        found = yield call("list_transactions", **_NOVEMBER)
        last = found["transactions"][-1]
        amount = abs(last["amount"])
        yield call("make_payment", iban=last["iban"], amount=amount, reference="Retur")
        return "Sent back."

    return Job(
        "Send the amount of the last transaction in November back to the account it concerns.",
        plan,
        lambda _: _paid(world, row["iban"], abs(row["amount"])),
        lambda: [Commit("list_transactions"), Commit("make_payment")],
    )


BANK_TASKS = tuple(
    Task(build.__name__, "bank", build)
    for build in (
        balance, spent, last_lunch, pay_power, due_invoices, pay_payee, pay_if_not_paid,
        pay_bill_document, raise_rent, rent_from_contract, cancel_power, move_to_savings,
        new_address, rent_as_agreed, refund_last,
    )
)  # fmt: skip
