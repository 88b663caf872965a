"""Cleartext credentials in container definitions: judged here, dropped here. A value never leaves this module but as
a fingerprint.

A name alone proves nothing (`PASSWORD_MIN_LENGTH`, `TOKEN_URL`) and a value alone rarely does, so both are judged
together: vendor-issued formats by their own structure, everything else by what the name says and whether the value
could be used. Every pattern has bounded repetitions and a text is judged on its first 64 KiB (all that a task
definition may have), so the work is linear in the input.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ecs_exposure.collectors import credential_providers as providers
from ecs_exposure.collectors import credential_values as values
from ecs_exposure.collectors import credential_words as words
from ecs_exposure.collectors.base import text_of

_SCALARS = (str, int, float)
JUDGED_CHARACTERS = 64 * 1024  # a task definition is at most 64 KiB (Amazon ECS service quotas)
JSON_DEPTH = 6
JSON_ARGUMENTS = 8  # how many places of a command are tried as the beginning of JSON
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


# An inline password, with the user before it: postgres://app:…@, app:…@tcp(…), jdbc:oracle:thin:scott/…@
_URL_PASSWORDS = (
    re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{1,30}://([^\s/?#@:'\"]{0,128}):([^\s/?#'\"]{1,256})@[^\s@/'\"]{1,255}"),
    re.compile(r"(?<![^\s'\"=,;])([A-Za-z0-9_.\-]{1,64}):([^\s/'\"]{1,128})@(?:tcp|unix|udp)\("),
    re.compile(r"jdbc:oracle:[a-z0-9]{1,8}:([A-Za-z0-9_$#]{1,64})/([^\s/@'\"]{1,128})@"),
    re.compile(r"(?<![^\s'\"=])([A-Za-z0-9_$#]{1,64})/([^\s/@'\"]{1,128})@//[A-Za-z0-9.\-]{1,255}"),
)
_TEMPLATE_USERS = frozenset(("user", "username", "login", "usr", "dbuser", "db_user", "myuser", "name"))
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_.\-])-{0,2}([A-Za-z][A-Za-z0-9_.\-]{1,63}|[A-Za-z]{2,20} [A-Za-z]{2,20})"
    r"\s?=\s?(?:\"([^\"]{1,512})\"|'([^']{1,512})'|([^;,&\s\"']{1,512}))"
)
_LINE = re.compile(
    r"^[ \t]{0,32}[\"']?([A-Za-z][A-Za-z0-9_.\-]{1,63})[\"']?[ \t]{0,4}[:=]"
    r"[ \t]{0,4}[\"']?([^\s\"',;]{1,512})[\"']?,?[ \t]{0,4}$",
    re.MULTILINE,
)
_OPTION = re.compile(
    r"(?<![^\s\"'])--?([A-Za-z][A-Za-z0-9_.\-]{1,63})[ =](?!-)([^\s\"';]{1,512}|\"[^\"]{1,512}\"|'[^']{1,512}')"
)
_HEADER = re.compile(
    r"(?i)(?<![a-z0-9\-])(?:(?:proxy-)?authorization|api-key|x-[a-z0-9\-]{0,30}?(?:key|token|secret|team))[\"']?\s?[:=]\s?[\"']?"
    r"(?:bearer |basic |token )?([^\s\"',;]{8,512})"
)
# Programs whose short options take a password: mysql -psecret, redis-cli -a secret, curl -u user:secret …
_SHORT_OPTION = re.compile(
    r"\b(?:(?:mysql|mysqladmin|mysqldump|mariadb|mariadb-admin|mariadb-dump)\b[^|;&\n]{0,200}?\s-p"
    r"(?P<mysql>[^\s\"';|&]{1,128}|\"[^\"]{1,128}\"|'[^']{1,128}')"
    r"|(?:redis-cli|valkey-cli)\b[^|;&\n]{0,200}?\s-a\s(?P<redis>[^\s\"';|&]{1,128})"
    r"|(?:mongo|mongosh|sshpass|docker login|helm registry login)\b[^|;&\n]{0,200}?\s-p\s?(?P<plain>[^\s\"';|&]{1,128})"
    r"|(?:curl|wget|http|https)\b[^|;&\n]{0,200}?\s-u\s?[\"']?[A-Za-z0-9_.@\-]{1,64}:(?P<basic>[^\s\"';|&]{1,128}))"
)
_SIGNATURE = re.compile(r"[?&](?:sig|X-Amz-Signature|signature)=([A-Za-z0-9%+/=_\-]{24,256})")
_JWT = re.compile(r"eyJ[A-Za-z0-9_\-]{8,2000}\.eyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{16,1000}")
_JSON = json.JSONDecoder()
_BARE_KEYS = frozenset(("key", "value", "k", "v"))  # names of JSON members that say nothing without what holds them


def detect(container: Mapping[str, Any], key: bytes) -> Iterator[dict[str, Any]]:
    """Cleartext credentials of one container definition, in any shape its JSON may have.

    Yields columns of dataset credential without task definition: container_name, source, variable_name, detector,
    is_provider_pattern, fingerprint. `key` keys the fingerprints.
    """
    name = text_of(container.get("name")) or ""
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
    value = value[:JUDGED_CHARACTERS].strip()
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
    if hit := _in_name(variable):
        yield hit
    if source in ("command", "entry_point", "health_check"):
        text = value[:JUDGED_CHARACTERS]
        found = _private_key(text) or _provider("", text) or _in_url(text) or _in_arguments(text)
    else:
        found = judge(variable, value)
    if found:
        yield found


def _in_name(variable: str) -> Detection | None:
    """A secret that stands in the name: pasted alone, as a URL, or as a whole assignment."""
    text = variable[:JUDGED_CHARACTERS]
    return (
        _private_key(text) or _provider("", text) or _in_url(text) or (_in_assignments(text) if "=" in text else None)
    )


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
    if not is_plain or _in_name(variable) or values.looks_random(variable):
        return REDACTED
    return variable[:NAME_LIMIT]


def _texts(container: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(source, name, text) of everything in a container definition that may hold a secret. Nulls and wrong types are
    skipped.
    """
    for variable in _list(container.get("environment")):
        if isinstance(variable, Mapping) and isinstance(variable.get("value"), _SCALARS):
            name = variable.get("name")
            yield "environment", str(name) if isinstance(name, _SCALARS) else "", str(variable["value"])
    for source, arguments in (
        ("command", container.get("command")),
        ("entry_point", container.get("entryPoint")),
        ("health_check", _map(container.get("healthCheck")).get("command")),
    ):
        # Joined: an option and its value are often two arguments. Told by source only, never by argument.
        if text := " ".join(str(argument) for argument in _list(arguments) if isinstance(argument, _SCALARS)):
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
        if isinstance(value, _SCALARS):
            yield str(name), str(value)


# --- the rules ----------------------------------------------------------------------------------------------


def _provider(name: str, value: str) -> Detection | None:
    found = next(providers.vendor_secrets(name, value), None)
    return Detection(found[0], True, found[1]) if found else None


def _private_key(value: str) -> Detection | None:
    body = providers.private_key(value)
    return Detection("private_key", True, body) if body else None


def _in_url(value: str) -> Detection | None:
    """An inline password of a URL or DSN. A template, or an `example` password, is none."""
    if "@" not in value:
        return None
    for pattern in _URL_PASSWORDS:
        for user, password in pattern.findall(value):
            is_template = user.lower() in _TEMPLATE_USERS and password.lower() in words.PASSWORD_WORDS
            if not (is_template or values.is_reference(password) or _is_told("password", password)):
                return Detection("url_password", False, password)
    return None


def _is_told(name: str, password: str) -> bool:
    """`password` itself is a placeholder only beside a placeholder of a user."""
    return password.lower() not in words.PASSWORD_WORDS and values.is_placeholder(name, password)


def _in_json(name: str, value: str, *, is_more_allowed: bool = False) -> Detection | None:
    """A secret inside a JSON value, judged by its own key (a list's items by the name of what holds them). Of a command
    the value is followed by more arguments.
    """
    if value[:1] not in ("{", "["):
        return None
    try:
        content = _JSON.raw_decode(value)[0] if is_more_allowed else _JSON.decode(value)
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
            member = str(key)
            yield from _leaves(f"{name} {member}" if member.lower() in _BARE_KEYS else member, item, depth + 1)
    elif isinstance(content, list):
        for item in content:
            yield from _leaves(name, item, depth + 1)
    elif isinstance(content, str) and content.strip():
        yield name, content.strip()


def _named(name: str, value: str) -> Detection | None:
    """A name that means credential, with a value that could be one."""
    meaning = words.meaning(name)
    if meaning is None or values.is_published(value) or values.is_reference(value, name):
        return None
    if values.is_placeholder(name, value):
        return None
    if _JWT.fullmatch(value):
        return Detection("named_token", False, value)
    if values.could_be(meaning, value):
        return Detection(f"named_{meaning.kind}", False, value)
    return None


def _in_assignments(value: str) -> Detection | None:
    """`Password=…;` of connection strings, `-Ddb.password=…` of options, `?api_key=…` of query strings, lines of a
    configuration file.
    """
    if "=" in value:
        for match in _ASSIGNMENT.finditer(value):
            if found := _assigned(match[1], match[2] or match[3] or match[4]):
                return found
        for match in _SIGNATURE.finditer(value):
            if not values.is_dummy(match[1]):
                return Detection("signed_url", False, match[1])
    for match in _HEADER.finditer(value):
        if values.looks_random(match[1]) and not (values.is_reference(match[1]) or values.is_dummy(match[1])):
            return Detection("header", False, match[1])
    if "\n" in value:
        for match in _LINE.finditer(value):
            if found := _assigned(match[1], match[2]):
                return found
    return None


def _in_arguments(text: str) -> Detection | None:
    if found := _in_assignments(text):
        return found
    for match in _OPTION.finditer(text):
        if found := _assigned(match[1], match[2].strip("\"'")):
            return found
    for match in _SHORT_OPTION.finditer(text):
        password = next(filter(None, match.groups())).strip("\"'")
        if not (values.is_reference(password, "password") or _is_told("password", password)):
            return Detection("password_option", False, password)
    for start in islice(re.finditer(r"(?<!\S)[{\[]", text), JSON_ARGUMENTS):
        if found := _in_json("", text[start.start() :], is_more_allowed=True):
            return found
    return None


def _assigned(name: str, value: str) -> Detection | None:
    found = _named(name.removeprefix("D"), value) if name.startswith("D") and "." in name else _named(name, value)
    return Detection("assigned_credential", False, found.secret) if found else None
