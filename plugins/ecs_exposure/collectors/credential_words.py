"""What names of variables say: is a name a credential's, and of which kind.

The lists are ours, grown from how public task definitions name things; each says why it is there. What values say is in
credential_values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["password", "secret", "token", "key"]
NAME_JUDGED = 255


@dataclass(frozen=True)
class Meaning:
    """What kind of credential a name means; `is_certain` when nothing around the word could change its sense."""

    kind: Kind
    is_certain: bool = True
    is_generic: bool = False  # a bare `…_KEY`: as often a cache key or a publishable id as a secret


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PASSWORD_WORDS = _words(
    "password passwd pwd pass passphrase passcode pw psw pswd passwort kennwort contrasena contrasenia senha haslo "
    "wachtwoord parola motdepasse"
)
_SINGLE: dict[str, Kind] = {
    **dict.fromkeys(PASSWORD_WORDS, "password"),
    # Written together, where the ending alone would also be a compass or a bypass.
    **dict.fromkeys(_words("requirepass masterauth dbpass rootpass userpass adminpass sqlpass smtppass"), "password"),
    **dict.fromkeys(_words("secret secrets salt pepper credential credentials creds"), "secret"),
    **dict.fromkeys(_words("token tokens jwt pat bearer auth oauth webhook"), "token"),
    **dict.fromkeys(_words("apikey accesskey secretkey privatekey authkey encryptionkey"), "key"),
}
_KEY_OWNERS = _words(
    "api access secret private encryption encrypt enc crypto crypt cipher aes signing sign signature hmac master "
    "auth account shared storage session cookie jwt app application license licence ingest ingestion write admin "
    "service rsa ssh deploy webhook client fernet sdk token"
)
# After the credential's word these turn the name into something about it.
_ABOUT = _words(
    "length len min max minimum maximum size count limit attempts retries chars ttl expiry expire expires "
    "expiration exp lifetime validity timeout duration age interval period days day hours hour minutes minute "
    "seconds sec secs ms in enabled enable disabled disable allow allowed required require optional policy file "
    "filename path paths dir directory folder location mount arn arns name names id ids url uri urls endpoint host "
    "hosts hostname port server domain region address type algorithm alg algo format prefix suffix header headers "
    "field fields column table bucket issuer audience version provider providers manager store backend mode scope "
    "scopes strategy user username users email login method methods rotation hash hasher hashers hashing empty "
    "reset blacklisted blacklist cookie class source ref env var realm group role roles check engine driver "
    "encoding charset regex pattern validation validator validators rounds cost strength hint verification verify "
    "plugin module link template templates refresh param parameter kid label script command cmd fingerprint "
    "thumbprint alias service process processing status model tokenizer budget usage price cluster namespace origin "
    "origins redirect callback state flow cache secure samesite site lookup rule rules"
)
# Before the credential's word these say that the variable is likely a switch or a number.
_SWITCH = _words(
    "allow enable disable use is has require no skip without generate random forgot max min num number show hide reset"
)
_PUBLIC = _words("public publishable pub site sitekey js frontend browser vite react anon")
_QUALIFIERS = _words(
    "base value val prod production dev development test stage staging live local qa primary secondary main default "
    "old new current previous text plain b64 base64 pem string str data json hex raw db admin root api key secret "
    "token"
)
_NOT_KEYS = _words(
    "primary foreign partition sort hash cache object s3 kms public keyboard index instrumentation tracking routing "
    "idempotency row range group sharding shard translation feature config message search lookup hot event bucket"
)
_COOKIE_OWNERS = _words("erlang release")  # the shared secret of Erlang nodes is called a cookie
_APP_ROLES = _words("vault role approle")  # Vault calls one half of an application's login a secret id
ECS_8 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ECS_ENGINE_AUTH_DATA"}  # names of Security Hub's control ECS.8

_ENDING = re.compile(r"(?:password|passwd|passphrase|secret|token|apikey)$")  # PGPASSWORD, clientsecret
# A part of every credential word, in any case: most names hold none and need not be split.
_HINT = re.compile(
    "(?i)pass|pw|psw|secret|token|key|cred|salt|pepper|jwt|pat|bearer|auth|webhook|cookie|kennwort|contrasen|senha"
    "|haslo|wachtwoord|parola|pswd"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def split(name: str) -> list[str]:
    """Words of a name in lower case, whatever its style: DB_PASSWORD, dbPassword, spring.datasource.password."""
    return [word.lower() for word in _WORD.findall(name[:NAME_JUDGED])]


def is_public(name: str) -> bool:
    """The name says that the value is meant for everyone (a browser's key, a public key)."""
    return not _PUBLIC.isdisjoint(split(name))


def meaning(name: str) -> Meaning | None:
    """The credential a name means, or None. The last credential word decides, read with what follows it."""
    if not _HINT.search(name[:NAME_JUDGED]):
        return None
    if name[:NAME_JUDGED].strip().upper() in ECS_8:
        return Meaning("key")
    spoken = [word for word in split(name) if not word.isdigit()]
    found = _last_credential(spoken)
    if found is None or not _PUBLIC.isdisjoint(spoken):
        return None
    position, kind, is_generic = found
    if spoken[position:] == ["secret", "id"] and not _APP_ROLES.isdisjoint(spoken):
        return Meaning("secret", is_certain=False)
    before, after = spoken[:position], spoken[position + 1 :]
    if not _ABOUT.isdisjoint(after):
        return None
    is_certain = _SWITCH.isdisjoint(before) and all(word in _QUALIFIERS for word in after)
    return Meaning(kind, is_certain, is_generic)


def _last_credential(spoken: list[str]) -> tuple[int, Kind, bool] | None:
    for position in range(len(spoken) - 1, -1, -1):
        word = spoken[position]
        owner = spoken[position - 1] if position else ""
        if word in ("key", "keys"):
            if owner in _KEY_OWNERS:
                return position, "key", False
            if owner not in _NOT_KEYS and position == len(spoken) - 1:
                return position, "key", True
        elif word == "cookie":
            if owner in _COOKIE_OWNERS:
                return position, "secret", False
        elif word in _SINGLE:
            return position, _SINGLE[word], False
        elif found := _ENDING.search(word):
            return position, _SINGLE[found[0]], False
    return None
