"""What names and values of variables say: is a name a credential's, is a value a reference, a placeholder, something
usable.

The lists are ours, grown from how public task definitions name things; each says why it is there.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["password", "secret", "token", "key"]


@dataclass(frozen=True)
class Meaning:
    """What kind of credential a name means; `is_certain` when nothing follows the word that could change its sense."""

    kind: Kind
    is_certain: bool = True
    is_generic: bool = False  # a bare `…_KEY`: as often a cache key or a publishable id as a secret


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SINGLE: dict[str, Kind] = {
    **dict.fromkeys(_words("password passwd pwd pass passphrase passcode passwort contrasena senha"), "password"),
    **dict.fromkeys(_words("secret secrets salt pepper credential credentials creds"), "secret"),
    **dict.fromkeys(_words("token tokens jwt pat bearer auth webhook"), "token"),
    **dict.fromkeys(_words("apikey accesskey secretkey privatekey authkey encryptionkey"), "key"),
}
_KEY_OWNERS = _words(
    "api access secret private encryption encrypt enc crypto crypt cipher aes signing sign signature hmac master "
    "auth account shared storage session jwt app application license licence ingest ingestion write admin service "
    "rsa ssh deploy webhook client"
)
# After the credential's word these turn the name into something about it.
_ABOUT = _words(
    "length len min max minimum maximum size count limit attempts retries chars ttl expiry expire expires "
    "expiration exp lifetime validity timeout duration age interval period days day hours hour minutes minute "
    "seconds sec secs ms in enabled enable disabled disable allow allowed required require optional policy file "
    "filename path dir directory folder location mount arn arns name names id ids url uri urls endpoint host "
    "hostname port server domain region address type algorithm alg algo format prefix suffix header field column "
    "table bucket issuer audience version provider manager store backend mode scope scopes strategy user username "
    "users email login method methods rotation hash hasher empty reset blacklisted blacklist cookie class source "
    "ref env var realm group role check engine driver encoding charset regex pattern validation rounds cost "
    "strength hint verification verify plugin module link template refresh param parameter kid label script "
    "command cmd fingerprint thumbprint alias service process processing status"
)
# Before the credential's word these say that the variable is a switch or a public value.
_SWITCH = _words("allow enable disable use is has require no skip without generate random forgot")
_PUBLIC = _words("public publishable pub site sitekey js frontend browser vite react anon")
_QUALIFIERS = _words(
    "base value val prod production dev development test stage staging live local qa primary secondary main "
    "default old new current previous text plain b64 base64 pem string str data json hex raw db admin root api "
    "key secret token"
)
_NOT_KEYS = _words("primary foreign partition sort hash cache object s3 kms public keyboard index")
ECS_8 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"}  # names of Security Hub's control ECS.8

_ENDING = re.compile(r"(?:password|passwd|secret|token|apikey)$")  # PGPASSWORD, clientsecret
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def split(name: str) -> list[str]:
    """Words of a name in lower case, whatever its style: DB_PASSWORD, dbPassword, spring.datasource.password."""
    return [word.lower() for word in _WORD.findall(name[:255])]


def is_public(name: str) -> bool:
    """The name says that the value is meant for everyone (a browser's key, a public key)."""
    return not _PUBLIC.isdisjoint(split(name))


def meaning(name: str) -> Meaning | None:
    """The credential a name means, or None. The last credential word decides, read with what follows it."""
    if name.strip().upper() in ECS_8:
        return Meaning("key")
    spoken = [word for word in split(name) if not word.isdigit()]
    found = _last_credential(spoken)
    if found is None or is_public(name):
        return None
    position, kind, is_generic = found
    before, after = spoken[:position], spoken[position + 1 :]
    if not _SWITCH.isdisjoint(before) or not _ABOUT.isdisjoint(after):
        return None
    return Meaning(kind, all(word in _QUALIFIERS for word in after), is_generic)


def _last_credential(spoken: list[str]) -> tuple[int, Kind, bool] | None:
    for position in range(len(spoken) - 1, -1, -1):
        word = spoken[position]
        owner = spoken[position - 1] if position else ""
        if word in ("key", "keys"):
            if owner in _KEY_OWNERS:
                return position, "key", False
            if owner not in _NOT_KEYS and position == len(spoken) - 1 and owner:
                return position, "key", True
        elif word in _SINGLE:
            return position, _SINGLE[word], False
        elif found := _ENDING.search(word):
            return position, _SINGLE[found[0]], False
    return None


# --- values -------------------------------------------------------------------------------------------------

_TEMPLATE = re.compile(r"\$\{|\$\(|\{\{|<%|%\{|#\{|\$\[|@@|__[A-Z]|%%")
_WHOLE_REFERENCE = re.compile(
    r"\$+[A-Za-z_][A-Za-z0-9_]{0,127}\$*|<[^<>]{0,255}>|\[[^\[\]]{0,255}\]|%[A-Za-z_][A-Za-z0-9_]{0,127}%"
    r"|\{[^{}\"]{0,127}\}"
)
_POINTER = re.compile(
    r"(?i)(?:arn|ssm|s3|vault|secretsmanager|secretmanager|secrets-manager|aws-sm|op|sm|file|env|gcp|keyvault|ref|akv)"
    r"(?::|\+?://)|projects/[^/]{1,128}/secrets/|kubernetes://|(?:https?|wss?|tcp|udp|grpc|redis|amqp|unix)://"
)
_PATH = re.compile(r"(?:~|\.{1,2})?(?:/[A-Za-z0-9_.\-]{1,64}){2,32}/?|[A-Za-z]:\\[^\s]{0,255}|/[A-Za-z0-9_\-]{1,32}")
_HOST = re.compile(r"(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?::\d{1,5})?")
_IDENTIFIER = re.compile(r"[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,12}")
_BOOLEANS = _words(
    "true false yes no on off y n t f 0 1 none null nil undefined nan enabled disabled enable disable unset empty n/a "
    "na tbd notset not-set not-provided optional required auto never always - * redacted hidden plain"
) | {"not provided", "not set"}
_DUMMY_WORDS = _words(
    "changeme change changeit changethis replace replaceme example examples sample dummy placeholder todo fixme "
    "insert your yours fake redacted masked removed tbd fillme here foobar xxx xxxx xxxxx xxxxxx tochange notreal "
    "mock enter ignored unused"
)
_STOP_WORDS = _words("the is are to not be this your for with please should will from")


def is_reference(value: str) -> bool:
    """The value stands for something kept elsewhere: a template, a variable, an ARN, a path, a plain URL or host."""
    text = value.strip()
    if _TEMPLATE.search(text) or _WHOLE_REFERENCE.fullmatch(text) or _POINTER.match(text):
        return True
    return (_PATH.fullmatch(text) or _HOST.fullmatch(text)) is not None and not looks_random(text)


def is_dummy(value: str) -> bool:
    """The value is written for readers, not for a server: AKIAIOSFODNN7EXAMPLE, ghp_xxxxxxxx…"""
    lowered = value.lower()
    if "example" in lowered or "xxxxx" in lowered or "*****" in lowered or "....." in lowered or "changeme" in lowered:
        return True
    return len(value) >= 8 and len(set(lowered[4:])) <= 3


def is_placeholder(name: str, value: str) -> bool:
    """The value only says that something belongs here."""
    text = value.strip()
    lowered = text.lower()
    if lowered in _BOOLEANS or is_dummy(text) or (len(text) >= 4 and len(set(text)) == 1):
        return True
    spoken = split(text)
    if not looks_random(text):
        if not _DUMMY_WORDS.isdisjoint(spoken):
            return True
        if " " in text and not _STOP_WORDS.isdisjoint(spoken):
            return True  # a sentence
        if spoken and spoken[0] in ("my", "some", "the", "a") and len(spoken) > 1 and re.search(r"[-_ ]", text):
            return True
    if "publishable" in spoken:
        return True  # says of itself that it is no secret
    # DB_PASSWORD_VALUE, MY_ACCESS_TOKEN, Client_Secret_Acme: the name again, dressed as an identifier
    if len(spoken) > 1 and set(spoken) <= set(split(name)):
        return True
    if _IDENTIFIER.fullmatch(text) and (meaning(text) is not None or set(split(name)) <= set(spoken)):
        return True
    return len(text) > 6 and re.sub(r"[^a-z0-9]", "", lowered) == re.sub(r"[^a-z0-9]", "", name.lower())


def could_be(meaning: Meaning, value: str) -> bool:
    """Whether a value that is neither reference nor placeholder could be a credential of this kind."""
    if meaning.is_generic or not meaning.is_certain:
        return looks_random(value)
    if meaning.kind == "password":
        return len(value) >= 3 and (not re.search(r"\s", value) or looks_random(value))
    if re.search(r"\s", value) or value.isdecimal():
        return False
    if meaning.kind == "secret":
        return len(value) >= 5
    has_mixture = bool(re.search(r"\d", value)) or (value != value.lower() and value != value.upper())
    return looks_random(value) or (len(value) >= 8 and has_mixture) or len(value) >= 20


def entropy(value: str) -> float:
    """Shannon entropy in bits per character."""
    return (
        -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()) if value else 0.0
    )


def looks_random(value: str) -> bool:
    """Long enough, varied enough and mixed enough that no one made it up as a word."""
    if not 16 <= len(value) <= 4096 or re.search(r"\s", value):
        return False
    digits = sum(character.isdigit() for character in value)
    if re.fullmatch(r"[0-9a-f\-]{16,}", value.lower()):
        return digits >= 3 and entropy(value) >= 2.8
    words_in_it = re.split(r"[^A-Za-z0-9]+", value)
    longest = max(len(word) for word in words_in_it)
    switches = sum((a.isdigit() != b.isdigit()) or (a.islower() and b.isupper()) for a, b in pairwise(value))
    return longest >= 12 and digits >= 2 and switches >= 4 and entropy(value) >= 3.3
