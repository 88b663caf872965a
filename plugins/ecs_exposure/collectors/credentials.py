"""Cleartext credentials in container definitions: judged here, dropped here. A value never leaves this module but as
a fingerprint.

A name alone proves nothing (`PASSWORD_MIN_LENGTH`, `TOKEN_URL`) and a value alone rarely does, so both are judged
together: vendor-issued formats by their own structure, everything else by what the name says and whether the value
could be used. Every pattern has bounded repetitions and values are judged on their first 16 KiB, so the work is
linear in the input.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecs_exposure.collectors import credential_words as words

JUDGED_BYTES = 16 * 1024
JSON_DEPTH = 6
REDACTED = "(redacted)"
NAME_LIMIT = 255


@dataclass(frozen=True)
class Detection:
    """A usable secret: which rule knew it, whether the format is a vendor's own, and the secret itself (module-
    internal).
    """

    detector: str
    is_provider_pattern: bool
    secret: str


# Vendor-issued formats with a checkable prefix or structure; sources are the vendors' documentation on token formats.
_PROVIDERS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?<![A-Za-z0-9_]){pattern}(?![A-Za-z0-9])"))
    for name, pattern in (
        ("aws_access_key_id", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
        ("github_token", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
        ("github_fine_grained_token", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        ("gitlab_token", r"gl(?:pat|dt|rt|ptt|agent|oas|cbt)-[A-Za-z0-9_\-]{20,64}"),
        ("slack_token", r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}"),
        ("slack_app_token", r"xapp-\d-[A-Z0-9]{6,20}-\d{6,20}-[a-f0-9]{40,128}"),
        ("slack_webhook", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_]{20,120}"),
        ("discord_webhook", r"https://discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_\-]{60,90}"),
        ("stripe_key", r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,255}"),
        ("stripe_webhook_secret", r"whsec_[A-Za-z0-9+/=]{24,100}"),
        ("google_api_key", r"AIza[A-Za-z0-9_\-]{35}"),
        ("google_oauth_secret", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
        ("sendgrid_key", r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}"),
        ("twilio_key", r"SK[0-9a-f]{32}"),
        ("mailgun_key", r"key-[0-9a-f]{32}"),
        ("npm_token", r"npm_[A-Za-z0-9]{36}"),
        ("pypi_token", r"pypi-[A-Za-z0-9_\-]{50,250}"),
        ("openai_key", r"sk-(?:proj|svcacct|admin|live)-[A-Za-z0-9_\-]{20,200}"),
        ("anthropic_key", r"sk-ant-[A-Za-z0-9_\-]{20,200}"),
        ("huggingface_token", r"hf_[A-Za-z]{34}"),
        ("shopify_token", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
        ("square_token", r"(?:EAAA|sq0(?:atp|csp)-)[A-Za-z0-9_\-]{22,60}"),
        ("digitalocean_token", r"do[opr]_v1_[a-f0-9]{64}"),
        ("vault_token", r"hv[sbr]\.[A-Za-z0-9_\-]{24,200}"),
        ("newrelic_key", r"NR(?:AK|II)-[A-Za-z0-9\-]{27,32}"),
        ("grafana_token", r"glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
        ("docker_hub_token", r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{27,40}"),
        ("linear_key", r"lin_api_[A-Za-z0-9]{40}"),
        ("databricks_token", r"dapi[a-f0-9]{32}"),
        ("azure_storage_key", r"AccountKey=[A-Za-z0-9+/]{86}=="),
        ("telegram_bot_token", r"\d{8,10}:AA[A-Za-z0-9_\-]{33}"),
    )
)
_BROWSER_KEYS = {"google_api_key"}  # also issued for web pages, where a name with `public` says so
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----([^-]{1,16000})")
_PEM_BASE64 = "LS0tLS1CRUdJTi"
_AWS_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")
_URL_PASSWORD = re.compile(
    r"[A-Za-z][A-Za-z0-9+.\-]{1,30}://[^\s/?#@:'\"]{0,128}:([^\s/?#'\"]{1,256})@[^\s@/'\"]{1,255}"
)
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_.\-])-{0,2}([A-Za-z][A-Za-z0-9_.\-]{1,63}|[A-Za-z]{2,20} [A-Za-z]{2,20})"
    r"\s?=\s?([^;,&\s\"']{1,512})"
)
_OPTION = re.compile(r"--?([A-Za-z][A-Za-z0-9_.\-]{1,63})[ =]([^\s\"';]{1,512}|\"[^\"]{1,512}\"|'[^']{1,512}')")
_BEARER = re.compile(
    r"(?i)\b(?:authorization|x-api-key|x-auth-token)\s?[:=]\s?(?:bearer |basic |token )?([^\s\"',;]{8,512})"
)
_JWT = re.compile(r"eyJ[A-Za-z0-9_\-]{8,2000}\.eyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{16,1000}")


def detect(container: Mapping[str, Any], key: bytes) -> Iterator[dict[str, Any]]:
    """Cleartext credentials of one container definition, in any shape its JSON may have.

    Yields columns of dataset credential without task definition: container_name, source, variable_name, detector,
    is_provider_pattern, fingerprint. `key` keys the fingerprints.
    """
    name = str(container.get("name") or "")
    for source, variable, value in _texts(container):
        for detection in _judge_text(source, variable, value):
            yield _row(name, source, variable, detection, key)


def detect_options(owner: str, source: str, options: Mapping[str, Any], key: bytes) -> Iterator[dict[str, Any]]:
    """The same for a map of options (a docker volume's driverOpts and labels); `owner` stands in container_name."""
    for option, value in _pairs(options):
        for detection in _judge_text(source, option, value):
            yield _row(owner, source, option, detection, key)


def judge(name: str, value: str) -> Detection | None:
    """Whether a variable of this name and value holds a usable secret; None when not."""
    value = value[:JUDGED_BYTES].strip()
    if not value:
        return None
    return (
        _private_key(value)
        or _provider(name, value)
        or _in_url(value)
        or _in_json(name, value)
        or _named(name, value)
        or _in_assignments(value)
    )


def _judge_text(source: str, variable: str, value: str) -> Iterator[Detection]:
    if (hit := _provider("", variable)) or (hit := _private_key(variable)):
        yield hit
    if source in ("command", "entry_point", "health_check"):
        text = value[:JUDGED_BYTES]
        found = _private_key(text) or _provider("", text) or _in_url(text) or _in_arguments(text)
    else:
        found = judge(variable, value)
    if found:
        yield found


def _row(container: str, source: str, variable: str, detection: Detection, key: bytes) -> dict[str, Any]:
    return {
        "container_name": container,
        "source": source,
        "variable_name": _shown(variable),
        "detector": detection.detector,
        "is_provider_pattern": detection.is_provider_pattern,
        "fingerprint": hmac.new(key, detection.secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
            :16
        ],
    }


def _shown(variable: str) -> str:
    """The name as it may be kept: people have pasted secrets (and whole assignments) into the name's field."""
    is_plain = re.fullmatch(r"[A-Za-z0-9_.\- /:]{1,255}", variable) is not None
    if not is_plain or _provider("", variable) or _in_url(variable) or words.looks_random(variable):
        return REDACTED
    return variable[:NAME_LIMIT]


def _texts(container: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(source, name, text) of everything in a container definition that may hold a secret. Nulls and wrong types are
    skipped.
    """
    for variable in _list(container.get("environment")):
        if isinstance(variable, Mapping) and variable.get("value") is not None:
            yield "environment", str(variable.get("name") or ""), str(variable["value"])
    for source, arguments in (
        ("command", container.get("command")),
        ("entry_point", container.get("entryPoint")),
        ("health_check", _map(container.get("healthCheck")).get("command")),
    ):
        # Joined: an option and its value are often two arguments. Told by source only, never by argument.
        if text := " ".join(str(argument) for argument in _list(arguments) if argument is not None):
            yield source, source, text
    for label, value in _pairs(_map(container.get("dockerLabels"))):
        yield "docker_label", label, value
    for source, configuration in (
        ("log_option", container.get("logConfiguration")),
        ("firelens_option", container.get("firelensConfiguration")),
    ):
        for option, value in _pairs(_map(_map(configuration).get("options"))):
            yield source, option, value


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pairs(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield str(name), str(value)


# --- the rules ----------------------------------------------------------------------------------------------


def _provider(name: str, value: str) -> Detection | None:
    for detector, pattern in _PROVIDERS:
        match = pattern.search(value)
        if match is None or words.is_dummy(match[0]):
            continue
        if detector in _BROWSER_KEYS and words.is_public(name):
            continue
        return Detection(detector, True, match[0])
    spoken = words.split(name)
    if "aws" in spoken and "secret" in spoken and _AWS_SECRET.fullmatch(value) and not words.is_dummy(value):
        return Detection("aws_secret_access_key", True, value)
    return None


def _private_key(value: str) -> Detection | None:
    if _PEM_BASE64 in value:
        start = value.index(_PEM_BASE64)
        encoded = re.match(r"[A-Za-z0-9+/]{0,16384}", value[start:])
        text = encoded[0] if encoded else ""
        try:
            value = base64.b64decode(text[: len(text) - len(text) % 4]).decode("ascii", "replace")
        except binascii.Error:
            return None
    match = _PEM.search(value)
    if match is None:
        return None
    body = re.sub(r"\\n|[^A-Za-z0-9+/=]", "", match[1])
    if len(body) < 48 or words.is_dummy(body):
        return None
    return Detection("private_key", True, body)


def _in_url(value: str) -> Detection | None:
    """An inline password of a URL or DSN. A template, or an `example` password, is none."""
    for match in _URL_PASSWORD.finditer(value):
        password = match[1]
        if not (words.is_reference(password) or words.is_placeholder("password", password)):
            return Detection("url_password", False, password)
    return None


def _in_json(name: str, value: str, depth: int = 0) -> Detection | None:
    """A secret inside a JSON value, judged by its own key (a list's items by the name of what holds them)."""
    if value[:1] not in ("{", "[") or depth:
        return None
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return None
    for leaf_name, leaf in _leaves(name, content, 0):
        found = _private_key(leaf) or _provider(leaf_name, leaf) or _in_url(leaf) or _named(leaf_name, leaf)
        if found:
            return found
    return None


def _leaves(name: str, content: object, depth: int) -> Iterator[tuple[str, str]]:
    if depth > JSON_DEPTH:
        return
    if isinstance(content, Mapping):
        for key, item in content.items():
            yield from _leaves(str(key), item, depth + 1)
    elif isinstance(content, list):
        for item in content:
            yield from _leaves(name, item, depth + 1)
    elif isinstance(content, str) and content.strip():
        yield name, content.strip()


def _named(name: str, value: str) -> Detection | None:
    """A name that means credential, with a value that could be one."""
    meaning = words.meaning(name)
    if meaning is None or words.is_reference(value) or words.is_placeholder(name, value):
        return None
    if _JWT.fullmatch(value):
        return Detection("named_token", False, value)
    if words.could_be(meaning, value):
        return Detection(f"named_{meaning.kind}", False, value)
    return None


def _in_assignments(value: str) -> Detection | None:
    """`Password=…;` of connection strings, `-Ddb.password=…` of options, `?api_key=…` of query strings."""
    for match in _ASSIGNMENT.finditer(value):
        if found := _assigned(match[1], match[2]):
            return found
    return None


def _in_arguments(text: str) -> Detection | None:
    for pattern in (_ASSIGNMENT, _OPTION):
        for match in pattern.finditer(text):
            if found := _assigned(match[1], match[2].strip("\"'")):
                return found
    for match in _BEARER.finditer(text):
        if not words.is_reference(match[1]) and words.looks_random(match[1]):
            return Detection("authorization_header", False, match[1])
    return None


def _assigned(name: str, value: str) -> Detection | None:
    found = _named(name.removeprefix("D"), value) if name.startswith("D") and "." in name else _named(name, value)
    return Detection("assigned_credential", False, found.secret) if found else None
