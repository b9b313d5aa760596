from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError
from stdnum.no import fodselsnummer

from agentkit.guards import Action, Boundary, GuardContext, SecretsDetector, Verdict
from agentkit.guards.checksums import iban_is_valid, luhn_is_valid, norwegian_id_is_valid

# Put together from pieces, so that no scanner of repositories takes them for real ones.
A36 = "aB3" * 12
SECRETS = {
    "secret.aws_access_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "secret.github_token": "ghp_" + A36,
    "secret.gitlab_token": "glpat-" + "aB3dE6gH9jK2mN5pQ8sT",
    "secret.slack_token": "xoxb-" + "123456789012-abcdefABCDEF",
    "secret.google_api_key": "AIza" + "aB3-_" * 7,
    "secret.stripe_key": "sk_live_" + A36[:24],
    "secret.anthropic_key": "sk-ant-" + "api03-" + A36 * 2,
    "secret.openai_key": "sk-proj-" + A36,
    "secret.huggingface_token": "hf_" + "aBcDeFgHiJ" * 3 + "klmn",
    "secret.npm_token": "npm_" + A36,
    "secret.pypi_token": "pypi-" + "AgE" + A36 * 2,
    "secret.jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "secret.azure_client_secret": "abc" + "8Q~" + "aB3-" * 8,
    "secret.sendgrid_key": "SG." + "a" * 22 + "." + "b" * 43,
}
CONTEXTS = {
    "secret.azure_storage_key": ("AccountKey={};", "aB3+" * 21 + "aa=="),
    "secret.aws_secret_key": ('"aws_secret_access_key": "{}"', "aB3/" * 10),
    "secret.url_password": ("postgres://app:{}@db.example:5432/x", "S3cr3t!pass"),
    "secret.basic_auth": ("Authorization: Basic {}", "YXBwOnMzY3IzdA=="),
    "secret.bearer_token": ("authorization: Bearer {}", "aB3dE6gH9jK2mN5pQ8sTuV4x"),
    "secret.slack_webhook": (
        "https://hooks.slack.com/services/{}",
        "T00000000/B00000000/aB3dE6gH9",
    ),
    "secret.assigned_value": ('db_password = "{}"', "korrekt9hest"),
    "pii.iban": ("Betal til {} i dag", "NO93 8601 1117 947"),
    "pii.payment_card": ("kort {}.", "4111 1111 1111 1111"),
    "pii.norwegian_id": ("Pasient {}, født", "15076500565"),
}


def judge(text: str, boundary: Boundary = Boundary.MODEL_OUTPUT) -> Verdict:
    return anyio.run(SecretsDetector().judge, text, GuardContext.of(boundary))


@pytest.mark.parametrize("category", SECRETS)
def test_tokens_are_redacted_and_never_repeated(category: str) -> None:
    secret = SECRETS[category]
    verdict = judge(f"Nøkkelen er {secret}, hold den skjult.")
    assert verdict.categories == (category,)
    assert verdict.redacted == f"Nøkkelen er [redacted: {category}], hold den skjult."
    assert secret not in f"{verdict.reason}{verdict.categories}{verdict.spans}"


@pytest.mark.parametrize("category", CONTEXTS)
def test_values_are_found_by_their_surroundings(category: str) -> None:
    template, secret = CONTEXTS[category]
    verdict = judge(template.format(secret))
    assert verdict.action is Action.REDACT
    assert verdict.categories == (category,)
    assert verdict.redacted == template.format(f"[redacted: {category}]")
    assert secret not in verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "Passord: {}",
        "passordet: {}",
        "DB_PASSWORD={}",
        "pwd = {}",
        "password: {} og så videre",
    ],
)
@pytest.mark.parametrize("chosen", ["Sommer2024", "vinter2025", "Qwerty123456"])
def test_a_chosen_password_is_redacted(text: str, chosen: str) -> None:
    assert judge(text.format(chosen)).redacted == text.format("[redacted: secret.assigned_value]")


@pytest.mark.parametrize("newline", ["\n", "\\n"])
def test_private_keys_are_redacted_whole(newline: str) -> None:
    body = ("MIIEvQIBADANBgkqhkiG9w0BAQEF" + newline) * 3
    key = f"-----BEGIN RSA PRIVATE KEY-----{newline}{body}-----END RSA PRIVATE KEY-----"
    assert judge(f"før {key} etter").redacted == "før [redacted: secret.private_key] etter"
    cut_off = judge(key[:80])
    assert cut_off.redacted == "[redacted: secret.private_key]"


FNR, CARD, IBAN = "15076500565", "4111111111111111", "NO9386011117947"
SPELLINGS = {
    "pii.norwegian_id": [
        f"Kari,{FNR},Oslo",
        f"1,{FNR},0150",
        f"[{FNR},{FNR}]",
        f"fnr.{FNR}",
        f"fnr-{FNR}-Kari",
        f"id_{FNR}",
        f"0150 {FNR}",
        "150765\u00a000565",
        "150765\u202f00565",
        "150765-00565",
        "15.07.65 00565",
        "150765 005 65",
        "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in FNR),
    ],
    "pii.payment_card": [
        f"Kari,{CARD},12/27",
        f"[{CARD},{CARD}]",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111.1111.1111.1111",
        "0150 4111-1111-1111-1111 123",
        "3782 822463 10005",
    ],
    "pii.iban": [
        "NO93\u00a08601\u00a01117\u00a0947",
        "no93 8601 1117 947",
        "NO93.8601.1117.947",
        "NO 93 8601 1117 947",
        f"Kari,{IBAN},Oslo",
    ],
}


@pytest.mark.parametrize(
    ("category", "text"), [(kind, text) for kind, texts in SPELLINGS.items() for text in texts]
)
def test_personal_numbers_are_found_in_the_usual_spellings(category: str, text: str) -> None:
    verdict = judge(text)
    assert verdict.categories == (category,)
    assert verdict.redacted is not None
    assert not any(part in verdict.redacted for part in ("565", "111", "822", "947"))


@pytest.mark.parametrize(
    "text",
    [
        f"+{FNR}",
        f"9{FNR}",
        f"{FNR}.5",
        f"0.{CARD}",
        f"1234-{CARD}",
        f"a{CARD}b",
        "KID 6000123456789012",
        f"KID: {CARD}",
        f'"kontonummer": "{FNR}"',
        f"Brukskonto {FNR}",
        f"Fakturanr. {CARD}",
        f"ordre {CARD}",
        "Varen 6000123456789012",
        "EAN 4006381333932",
    ],
)
def test_a_longer_number_or_one_of_another_kind_is_no_personal_number(text: str) -> None:
    verdict = judge(text)
    assert verdict.action is Action.ALLOW, verdict.reason


def test_an_iban_is_found_also_where_it_is_called_an_account() -> None:
    assert judge(f"Kontonummer: {IBAN}").categories == ("pii.iban",)


def test_invisible_characters_do_not_hide_a_secret() -> None:
    verdict = judge("AKIA\u200bIOSFODNN7\u2060EXAMPLE")
    assert verdict.redacted == "[redacted: secret.aws_access_key]"


def test_a_call_with_a_credential_is_blocked_and_with_a_personal_number_reviewed() -> None:
    key, number = SECRETS["secret.github_token"], "15076500565"
    assert judge(key, Boundary.TOOL_ARGUMENTS).action is Action.BLOCK
    assert judge(number, Boundary.TOOL_ARGUMENTS).action is Action.REVIEW
    assert judge(f"{key} {number}", Boundary.TOOL_ARGUMENTS).action is Action.BLOCK


@pytest.mark.parametrize("number", [FNR, CARD, IBAN])
def test_a_personal_number_that_the_user_gives_is_noted_and_passes(number: str) -> None:
    verdict = judge(f"Betal 900 kr til {number}", Boundary.USER_INPUT)
    assert verdict.action is Action.ALLOW
    assert verdict.categories[0].startswith("pii.")
    assert number not in verdict.reason
    for boundary in (Boundary.TOOL_RESULT, Boundary.MODEL_OUTPUT):
        assert judge(f"Betal 900 kr til {number}", boundary).action is Action.REDACT


def test_a_credential_that_the_user_gives_is_redacted_and_the_numbers_beside_it_stay() -> None:
    key = SECRETS["secret.github_token"]
    verdict = judge(f"{FNR} og {key}", Boundary.USER_INPUT)
    assert verdict.redacted == f"{FNR} og [redacted: secret.github_token]"
    assert verdict.categories == ("pii.norwegian_id", "secret.github_token")


@pytest.mark.parametrize(
    "text",
    [
        "The password is required. Token: see the manual. Passord: bruk BankID.",
        'password = os.environ["DB_PASSWORD"]',
        "token = get_token(user)",
        "api_key: ${API_KEY}",
        'secret = "<your-secret-here>"',
        "def login(password: str, token: str) -> None: ...",
        "password=form.password_field2",
        "password=new_password2024",
        "password=read2024(file)",
        "Password hash: sha256, pwd=argon2id",
        "Secretary: Kari.Nordmann@dnb.no",
        "Secretariat: Post@Efta.int",
        "Tokenpris: A1b2C3d4",
        'token_contact = "Kari.Nordmann2@dnb.no"',
        "token_expires_at: 2026-03-01T12:00:00Z",
        "password_changed: 2026-03-01T12:00:00+01:00.",
        "Passordreset: https://intranett.firma.no/Reset/2024",
        "token_url = https://Login.example.com/oauth2/v2",
        "postgres://app:${DB_PASSWORD}@db/x",
        "https://example.org:8443/sti?side=2",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "tlf. 22 12 34 56, org.nr. 974 760 673, ordre 4111111111111112",
        "3.14159265358979323846 og 12345678901",
        "NO93 8601 1117 948",
        "sk-learn og ghp_kort, AKIA kort",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY----- is how such a file begins",
    ],
)
def test_ordinary_text_and_code_is_allowed(text: str) -> None:
    verdict = judge(text)
    assert verdict.action is Action.ALLOW, verdict.reason


DIGITS = st.text("0123456789", min_size=1, max_size=20)


@given(DIGITS)
def test_luhn_agrees_with_the_library(digits: str) -> None:
    assert luhn_is_valid(digits) == luhn.is_valid(digits)


@given(st.sampled_from([("NO", 11), ("DE", 18), ("SE", 20)]), st.integers(0, 10**20 - 1))
def test_iban_check_digits_agree_with_the_library(country: tuple[str, int], account: int) -> None:
    code, length = country
    digits = f"{account:020d}"[:length]
    rearranged = "".join(str(int(char, 36)) for char in f"{digits}{code}00")
    number = f"{code}{98 - int(rearranged) % 97:02d}{digits}"
    assert iban.is_valid(number, check_country=False)
    assert iban_is_valid(number)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not iban_is_valid(wrong)


@settings(max_examples=300)
@given(st.dates(), st.integers(0, 999), st.booleans())
def test_norwegian_numbers_have_both_check_digits(date, number, is_d_number) -> None:  # noqa: ANN001 - hypothesis gives a date, an int and a bool
    day = date.day + 40 * is_d_number
    stem = f"{day:02d}{date.month:02d}{date.year % 100:02d}{number:03d}"
    try:
        first = fodselsnummer.calc_check_digit1(stem)
        second = fodselsnummer.calc_check_digit2(stem + first)
    except (ValidationError, ValueError):
        return
    digits = stem + first + second
    assert norwegian_id_is_valid(digits) == (len(digits) == 11)
    wrong = stem + first + str((int(second[-1]) + 1) % 10)
    assert not norwegian_id_is_valid(wrong)
