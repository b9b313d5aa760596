from __future__ import annotations

from decimal import Decimal  # noqa: TC003 - hypothesis reads the annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.planner.provenance.addresses import find_accounts, find_emails, find_urls, host_of
from agentkit.planner.provenance.dates import find_dates, find_times
from agentkit.planner.provenance.fold import fold, is_distinctive
from agentkit.planner.provenance.numbers import find_numbers, plain_number
from agentkit.planner.provenance.readings import destinations, principal, read_value, same_value


def spelled(found: object) -> list[str]:
    return [item[0] for item in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("pay 1 234,50 kr today", ["1234.5", "1234.5 NOK"]),
        ("1,234.50", ["1234.5"]),
        ("1234.5", ["1234.5"]),
        ("1 234 567,89", ["1234567.89"]),
        ("$1,234", ["1234", "1234 USD"]),
        ("1.234 kr", ["1234", "1234 NOK"]),
        ("1.234", ["1.234"]),
        ("12 %", ["12", "0.12", "12 %"]),
        ("50,- and 50.", ["50", "50"]),
        ("NOK 50", ["50", "50 NOK"]),
        ("-5", ["-5"]),
        ("I have 100, you 200.", ["100", "200"]),
        ("12.03.2026 v1.2.3 B12 14:30", []),
    ],
)
def test_a_number_has_one_spelling(text: str, spellings: list[str]) -> None:
    assert spelled(find_numbers(text)) == spellings


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**9, places=2))
def test_an_amount_is_found_in_each_of_its_spellings(amount: Decimal) -> None:
    whole, _, cents = f"{amount:.2f}".partition(".")
    groups = f"{int(whole):,}"
    for text in (
        f"{amount:.2f}",
        f"{groups}.{cents}",
        f"{groups.replace(',', ' ')},{cents} kr",
        f"kr {groups.replace(',', '.')},{cents}",
    ):
        assert plain_number(amount) in spelled(find_numbers(f"Pay {text} now.")), text


@pytest.mark.parametrize(
    "text",
    ["3. mars 2026", "2026-03-03", "03.03.2026", "March 3rd, 2026", "3 March 2026", "03/03/2026"],
)
def test_a_date_has_one_spelling(text: str) -> None:
    assert spelled(find_dates(f"on {text}, please")) == ["2026-03-03"]


@pytest.mark.parametrize(
    ("text", "dates", "times"),
    [
        ("March 3rd at 2:30 pm", ["--03-03"], ["14:30"]),
        ("2026-03-03T10:00:00", ["2026-03-03"], ["10:00"]),
        ("kl. 14 eller 10 am", [], ["14:00", "10:00"]),
        ("3/4/2026", [], []),
        ("30.02.2026 25:00 13 pm", [], []),
    ],
)
def test_days_without_a_year_and_times(text: str, dates: list[str], times: list[str]) -> None:
    assert spelled(find_dates(text)) == dates
    assert spelled(find_times(text)) == times


@pytest.mark.parametrize(
    ("text", "urls", "emails", "accounts"),
    [
        ("see HTTP://Evil.example:80/A/?q=1.", ["http://evil.example/A?q=1"], [], []),
        ("Kari <Kari@Example.NO>, x", [], ["kari@example.no"], []),
        ("evil.example", ["https://evil.example", "http://evil.example"], [], []),
        ("evil。example/x", ["https://evil.example/x", "http://evil.example/x"], [], []),
        ("[here](https://x.no/a)", ["https://x.no/a"], [], []),
        ("report.pdf, e.g. 3.11.2", [], [], []),
        ("//evil.example/x", ["https://evil.example/x", "http://evil.example/x"], [], []),
        ("(//1.2.3.4/x)", ["https://1.2.3.4/x", "http://1.2.3.4/x"], [], []),
        ("https:/evil.example/x", ["https://evil.example/x"], [], []),
        ("1https:\\/evil.example", ["https://evil.example"], [], []),
        ("a // b, 7//2, //todo, C:/a", [], [], []),
        ("_m@evil.example_, m@evil.example@", [], ["_m@evil.example", "m@evil.example"], []),
        ("m@evil.xn--p1ai", [], ["m@evil.xn--p1ai"], []),
        ("NO93 8601 1117 947 for rent", [], [], ["NO9386011117947"]),
        ("9386.01.11179", [], [], ["93860111179"]),
        ("ring +47 22 33 44 55 or 0047 22334455", [], [], ["+4722334455", "+4722334455"]),
    ],
)
def test_addresses_have_one_spelling(
    text: str, urls: list[str], emails: list[str], accounts: list[str]
) -> None:
    assert spelled(find_urls(text)) == urls
    assert spelled(find_emails(text)) == emails
    assert spelled(find_accounts(text)) == accounts


def test_a_host_hides_behind_no_user_name() -> None:
    (spelling,) = spelled(find_urls("https://good.example@evil.example/x"))
    assert host_of(spelling) == "evil.example"
    assert host_of("https://[broken") == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("on 2026-03-03 10:00 pay 12 345 678 kr", []),
        ("2026-03-03 12345678901", ["12345678901"]),
        ("write to m@evil.example", ["m@evil.example"]),
        ("read evil.example/a", ["https://evil.example/a"]),
        (r"[x](odd:\/\/evil.example)", ["odd://evil.example"]),
        (
            "[x](odd&#58;//evil&period;example)",
            ["odd://evil.example"],
        ),
        ("m&commat;evil.example", ["https://evil.example", "m@evil.example"]),
    ],
)
def test_dates_and_amounts_are_no_destinations(text: str, found: list[str]) -> None:
    assert [spellings[0] for _, spellings, _ in destinations(text)] == found


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (50, "50.0", True),
        ("50 kr", "NOK 50", True),
        ("5 kg", "5 m", False),
        ("3. mars 2026", "2026-03-03", True),
        ("2026-03-03 10:00", "March 3, 2026 10 am", True),
        ("Kari", " kari ", True),
        ("https://a.no/X", "https://a.no/x", False),
        ("007", 7, False),
        (True, 1, False),
        (None, "", False),
        (["a"], ["a"], True),
        ("POST@ÆRLIG.example", "post@ærlig.example", True),
        ("post@strasse.example", "post@straße.example", False),
        ("maxsoft", "max\u017foft", False),
        ("finance@fibank.example", "\ufb01nance@\ufb01bank.example", False),
        ("1" * 30 + "0", "1" * 30 + "9", False),
        ("1" * 29, "1" * 28 + "2", False),
        ("-" + "1" * 29, "-" + "1" * 28 + "2", False),
        ("1" * 29 + " %", "1" * 28 + "2 %", False),
    ],
)
def test_two_spellings_of_one_value(first: object, second: object, same: bool) -> None:
    assert same_value(first, second) is same  # type: ignore[arg-type]
    assert same_value(second, first) is same  # type: ignore[arg-type]


def test_a_principal_is_their_address() -> None:
    assert principal("Kari <Kari@example.no>") == principal("kari@EXAMPLE.no")
    assert principal("#General") == "#general"


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize("words", ["", "a", "no", "the", "all of the", "du og jeg", "..."])
def test_short_and_common_words_say_nothing(words: str) -> None:
    assert not is_distinctive(fold(words))


@pytest.mark.parametrize(
    "piece", ["a-", "a.", "a+", "://", "//a", "https:/", "a@b.xn--", "&#1", "1 "]
)
def test_a_long_text_is_read_in_linear_time(piece: str) -> None:
    list(destinations(piece * (100_000 // len(piece))))


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    read_value(text)
    list(destinations(text))
