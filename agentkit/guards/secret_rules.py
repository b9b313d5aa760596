"""What credentials look like: one rule a kind, by the issuers' own published prefixes and lengths.

Every pattern starts with a literal or a bounded look-behind, and every repetition is bounded or
possessive, so that no text makes a search worse than linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["TOKEN_RULES", "TokenRule"]


@dataclass(frozen=True, slots=True)
class TokenRule:
    """``pattern``'s group ``secret`` (or else the whole match) is a secret of kind ``category``.

    ``hints``: lower-case literals of which every match contains one; where none of them occurs in
    a text, the slower pattern need not be tried.
    """

    category: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]


def _token(name: str, hints: str, pattern: str) -> TokenRule:
    """Return the rule of a token that stands by itself, between non-word characters."""
    return TokenRule(
        f"secret.{name}",
        tuple(hints.split()),
        re.compile(rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])"),
    )


def _inside(name: str, hints: str, pattern: str) -> TokenRule:
    """Return the rule of a secret inside a longer construct, captured as ``secret``."""
    return TokenRule(f"secret.{name}", tuple(hints.split()), re.compile(pattern))


TOKEN_RULES: tuple[TokenRule, ...] = (
    _token("aws_access_key", "akia asia abia acca", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    _inside(
        "aws_secret_key",
        "secret",
        r"(?i:secret_?access_?key|aws_?secret)[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
        r"(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    ),
    _token(
        "github_token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        r"gh[pousr]_[A-Za-z0-9]{36,255}+|github_pat_[A-Za-z0-9_]{50,255}+",
    ),
    _token(
        "gitlab_token", "gl", r"gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent|oas|ffct)-[\w-]{20,128}+"
    ),
    _token(
        "slack_token",
        "xox xapp-",
        r"xox[abeoprs]-[A-Za-z0-9-]{10,255}+|xapp-\d-[A-Za-z0-9-]{20,255}+",
    ),
    _inside(
        "slack_webhook",
        "hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[\w/-]{20,200}+)",
    ),
    _token("google_api_key", "aiza", r"AIza[\w-]{35}"),
    _token(
        "google_oauth",
        "gocspx- ya29. 1//0",
        r"GOCSPX-[\w-]{28}|ya29\.[\w-]{20,2048}+|1//0[\w-]{40,200}+",
    ),
    _inside(
        "azure_storage_key",
        "key=",
        r"(?:Account|SharedAccess)Key=(?P<secret>[A-Za-z0-9+/]{42,86}={1,2})",
    ),
    _inside(
        "azure_client_secret",
        "q~",
        r"(?<![\w~.-])(?P<secret>[\w~.-]{3}\dQ~[\w~.-]{31,34})(?![\w~-])",
    ),
    _inside("azure_sas", "sig=", r"[?&]sig=(?P<secret>[A-Za-z0-9%/+]{40,80}(?:%3[dD]|=))"),
    _token(
        "stripe_key",
        "sk_ rk_ whsec_",
        r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,255}+|whsec_[A-Za-z0-9+/]{32,64}+",
    ),
    _token("anthropic_key", "sk-ant-", r"sk-ant-[a-z0-9]{3,12}-[\w-]{20,200}+"),
    _token(
        "openai_key", "sk-", r"sk-(?:proj|svcacct|admin|None)-[\w-]{20,255}+|sk-[A-Za-z0-9]{40,64}+"
    ),
    _token("openrouter_key", "sk-or-", r"sk-or-v1-[a-f0-9]{64}"),
    _token(
        "huggingface_token", "hf_ api_org_", r"hf_[A-Za-z0-9]{30,40}+|api_org_[A-Za-z0-9]{30,40}+"
    ),
    _token("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _token("pypi_token", "pypi-", r"pypi-AgE[\w-]{50,1000}+"),
    _token("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{48,60}+"),
    _token("nvidia_key", "nvapi-", r"nvapi-[\w-]{60,80}+"),
    _token("replicate_token", "r8_", r"r8_[A-Za-z0-9]{37}"),
    _token("xai_key", "xai-", r"xai-[A-Za-z0-9]{70,90}+"),
    _token("sendgrid_key", "sg.", r"SG\.[\w-]{22}\.[\w-]{43}"),
    _token("twilio_key", "sk", r"SK[0-9a-f]{32}"),
    _token("mailgun_key", "key-", r"key-[0-9a-f]{32}"),
    _token("digitalocean_token", "_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("databricks_token", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?"),
    _token("shopify_token", "shp", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _token("telegram_token", ":aa", r"\d{8,10}:AA[\w-]{33}"),
    _token("vault_token", "hvs. hvb.", r"hv[sb]\.[\w-]{24,300}+"),
    _token("docker_token", "dckr_", r"dckr_(?:pat|oat)_[\w-]{27,64}+"),
    _token("atlassian_token", "atatt3", r"ATATT3[\w=-]{60,300}+"),
    _token("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    _token("age_key", "age-secret-key-", r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}"),
    _token("jwt", "eyj", r"eyJ[\w-]{8,4096}+\.eyJ[\w-]{8,16384}+\.[\w-]{8,4096}+"),
    _inside(
        "url_password", "://", r"://[^\s:/@?#\[\]<>\"']{0,128}+:(?P<secret>[^\s@/<>\"']{1,256}+)@"
    ),
    _inside(
        "basic_auth",
        "basic",
        r"(?i:authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?i:basic)\s{1,4}"
        r"(?P<secret>[A-Za-z0-9+/]{8,1024}+={0,2})",
    ),
    _inside("bearer_token", "bearer", r"(?i:bearer)\s{1,4}(?P<secret>[\w.~+/-]{24,4096}+={0,2})"),
)
