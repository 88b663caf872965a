"""What values of variables say: a reference to something kept elsewhere, a placeholder, a public identifier, a secret.

Values are judged by their form: templates, paths and code are references; words that tell a reader what belongs here,
in any language people write them in, are placeholders; published keys are for everyone. Every pattern is anchored or
has bounded repetitions.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from ecs_exposure.collectors.credential_words import PASSWORD_WORDS, Meaning, meaning, split


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# --- references ---------------------------------------------------------------------------------------------

_TEMPLATE = re.compile(r"\$\{|\$\(|\{\{|<%|%\{|#\{|\$\[|@@|__[A-Z]|%%|%\(|\$[A-Z][A-Z0-9]{0,40}_[A-Z0-9_]{1,80}")
_WHOLE_REFERENCE = re.compile(
    r"\$+[A-Z_][A-Z0-9_]{0,127}\$*|<[^<>]{0,255}>|\[[^\[\]]{0,255}\]|%[A-Za-z_][A-Za-z0-9_]{0,127}%"
    r"|\{[^{}\"]{0,127}\}|\([A-Za-z _\-]{0,127}\)"
)
_VARIABLE = re.compile(r"\$+([A-Za-z_][A-Za-z0-9_]{0,127})")
_POINTER = re.compile(
    r"(?i)(?:arn|ssm|s3|vault|secretsmanager|secretmanager|secrets-manager|aws-sm|op|sm|file|env|gcp|keyvault|ref|akv"
    r"|kms|doppler|sops|bws|conjur|k8s|secret|parameterstore|ssm-parameter|fn:):|alias/|projects/[^/]{1,128}/secrets/"
    r"|[a-z][a-z0-9+.\-]{1,30}://[^@]{0,2048}$|[a-z][a-z\-]{1,20}:(?:[a-z][a-z0-9_\-]{0,63}/){1,8}[a-z0-9_\-]{1,64}$|!(?:ref|sub|getatt)\b"
)
_PATH = re.compile(r"(?:~|\.{1,2})?(?:/[A-Za-z0-9_.\-]{1,64}){2,32}/?|[A-Za-z]:\\[^\s]{0,255}|/[A-Za-z0-9_\-]{1,32}")
_HOST = re.compile(r"(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?::\d{1,5})?")
_FILE = re.compile(
    r"(?:[A-Za-z0-9_.\-]{0,64}/){0,16}[A-Za-z0-9_.\-]{1,64}"
    r"\.(?:pem|key|p12|pfx|jks|crt|cer|der|json|ya?ml|txt|env|conf|ini|properties|toml|xml|asc|gpg|pub)"
)
# process.env.DB_PASSWORD, var.db_password, os.environ['X'], env(X), @Microsoft.KeyVault(…)
_CODE_ROOT = re.compile(
    r"(?i)(?:process\.env|os\.environ|os\.getenv|env|environ|getenv|vars?|locals?|data|module|secrets?|config|settings"
    r"|parameters?|params|values|self|this|context|inputs?|outputs?|each|terraform|aws_[a-z0-9_]{2,60}"
    r"|random_[a-z0-9_]{2,60}|@Microsoft\.KeyVault|ssm|vault|ref|lookup|file|fn|enc)"
    r"(?=[.\[(])[\w.\[\](){}'\"\-:=/, @#]{1,255}"
)
_RELATIVE = re.compile(r"(?:[A-Za-z][A-Za-z0-9_\-]{0,63}/){1,8}[A-Za-z][A-Za-z0-9_\-]{0,63}")
_DOTTED = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,63}\.){1,8}[A-Za-z_][A-Za-z0-9_]{0,63}")


def is_reference(value: str, name: str = "") -> bool:
    """The value stands for something kept elsewhere: a template, a variable, code, an ARN, a path, a URL or host."""
    text = value.strip()
    if _TEMPLATE.search(text) or _WHOLE_REFERENCE.fullmatch(text) or _POINTER.match(text):
        return True
    variable = _VARIABLE.fullmatch(text)
    if variable and (meaning(variable[1]) or not set(split(variable[1])).isdisjoint(split(name))):
        return True
    if looks_random(text):
        return False
    if any(pattern.fullmatch(text) for pattern in (_PATH, _HOST, _FILE, _CODE_ROOT)):
        return True
    for pattern, separator in ((_RELATIVE, "/"), (_DOTTED, ".")):
        if pattern.fullmatch(text):
            parts = text.split(separator)
            if any(map(meaning, parts)) or (len(parts) > 2 and all(part.islower() or part.isupper() for part in parts)):
                return True
    return False


# --- placeholders -------------------------------------------------------------------------------------------

_IDENTIFIER = re.compile(r"[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,12}")
_BOOLEANS = _words(
    "true false yes no on off y n t f 0 1 none null nil undefined nan enabled disabled enable disable unset empty "
    "n/a na tbd notset not-set not-provided optional required auto never always - * redacted hidden plain"
) | {"not provided", "not set", "not applicable", "see secrets manager"}
_DUMMY_WORDS = _words(
    "changeme change changeit changethis replace replaceme example examples sample dummy placeholder todo fixme "
    "insert your yours fake redacted masked removed tbd fillme here foobar xxx xxxx xxxxx xxxxxx tochange notreal "
    "mock enter ignored unused setme"
)
_STOP_WORDS = _words("the is are to not be this your for with please should will from via")
# Written without a space, and in other languages: words that tell the reader to do something …
_TELLS = _words(
    "your yours change changeme changethis changeit replace replacewith insert enter put add set setme provide fill "
    "fillin paste choose generate create supply update here goes placeholder example sample dummy fake todo tbd "
    "redacted replaced changed filled provided defined injected managed generated used unused from via see stored "
    "please hier aqui ici "
    "sua seu suas tua teu tu su votre vos ton ta dein deine dei ihr ihre il tuo la vostra uw jouw twoje din "
    # Not written with these letters unless to be read.
    "ваш твой 你的 您的 密码 密钥 パスワード 비밀번호 пароль contraseña"
)
# … about one of these …
_THINGS = PASSWORD_WORDS | _words(
    "secret secrets token key keys apikey credential credentials creds value string user username account id access "
    "auth jwt api private public webhook clave chave mot de passe ключ"
)
# … with these in between.
_FILLERS = _words(
    "my me it this that be in on a an the some with to and or for of own real actual very super secure strong "
    "random long new safe unique production prod dev test staging local db database app application service server "
    "admin root aws aurora rds postgres mysql redis mongo github gitlab slack stripe openai google azure client "
    "session cookie encryption signing hash bit bits char chars character characters 32 64 128 256 512 not commit "
    "do min manager ssm vault console prefer must least by terraform pipeline openssl rand base64 base hex set"
)
_STORED = _words("credential credentials creds")
_MINE = _words("my some the a mi mein meine mon ma minha meu mio mia moje")
_VOCABULARY = _TELLS | _THINGS | _FILLERS
_LONGEST = max(map(len, _VOCABULARY))
_PUBLISHED = re.compile(
    r"(?:pk_(?:live|test)_|pk\.eyJ|phc_|pub-|pub_|ca-pub-|sb_publishable_|price_|prod_[A-Za-z0-9]{14}$|G-|UA-\d)"
)


def is_dummy(value: str) -> bool:
    """The value is written for readers, not for a server: AKIAIOSFODNN7EXAMPLE, ghp_xxxxxxxx…"""
    lowered = value.lower()
    if "example" in lowered or "xxxxx" in lowered or "*****" in lowered or "....." in lowered or "changeme" in lowered:
        return True
    if re.search(r"your|insert|replace|placeholder|redacted", lowered):
        return True
    return len(value) >= 12 and len(set(lowered[4:]) - set("-_")) <= 3


def is_published(value: str) -> bool:
    """The vendor issues values of this form for browsers and the like: everyone may have them."""
    return _PUBLISHED.match(value) is not None


def is_placeholder(name: str, value: str) -> bool:
    """The value only says that something belongs here."""
    text = value.strip()
    lowered = text.lower()
    if (
        lowered in _BOOLEANS
        or is_dummy(text)
        or (len(text) >= 4 and len(set(text)) == 1)
        or not re.search(r"[^\W_]", text)
    ):
        return True
    spoken = split(text)
    if not looks_random(text):
        if not _DUMMY_WORDS.isdisjoint(spoken) or tells_the_reader(text):
            return True
        if " " in text and not _STOP_WORDS.isdisjoint(spoken) and "passphrase" not in split(name):
            return True  # a sentence
        has_words = len(spoken) > 1 and (
            re.search(r"[-_ ]", text) is not None or not (text.islower() or text.isupper())
        )
        if has_words and spoken[0] in _MINE and not _THINGS.isdisjoint(spoken) and not any(map(str.isdigit, spoken)):
            return True  # my-api-key, MyDbPassword, minha_senha
        if has_words and not _STORED.isdisjoint(spoken):
            return True  # prod-db-credentials: no one makes up a secret with this word, but a secret's name
        if has_words and set(spoken) <= _THINGS:
            return True  # secret-key, access_token: what it is instead of it
    if "publishable" in spoken:
        return True  # says of itself that it is no secret
    # DB_PASSWORD_VALUE, MY_ACCESS_TOKEN, Client_Secret_Acme: the name again, dressed as an identifier
    if len(spoken) > 1 and set(spoken) <= set(split(name)):
        return True
    if text.isupper() and meaning(text) and set(spoken) <= set(split(name)):
        return True
    if _IDENTIFIER.fullmatch(text) and (meaning(text) is not None or set(split(name)) <= set(spoken)):
        return True
    return len(text) > 6 and re.sub(r"[^a-z0-9]", "", lowered) == re.sub(r"[^a-z0-9]", "", name.lower())


def tells_the_reader(text: str) -> bool:
    """The text is wholly made of words that tell the reader what to put here, written together or not, in one of
    several languages: yourpassword, SuaSenha, generate-a-strong-secret.
    """
    letters = re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", text[:96])).lower()
    if not 4 <= len(letters) <= 64:
        return False
    # Per position, as bits: reached without a telling word (1), with one (2); so each position is visited once.
    reached = [0] * (len(letters) + 1)
    reached[0] = 1
    for start in range(len(letters)):
        if reached[start]:
            for end in range(start + 1, min(start + _LONGEST, len(letters)) + 1):
                word = letters[start:end]
                if word in _VOCABULARY:
                    reached[end] |= 2 if word in _TELLS else reached[start]
    return bool(reached[-1] & 2)


_APP_PASSWORD = re.compile(r"[a-z]{4}(?: [a-z]{4}){3}")  # as Google shows an app password


# --- usable -------------------------------------------------------------------------------------------------


def could_be(meaning: Meaning, value: str) -> bool:
    """Whether a value that is neither reference nor placeholder could be a credential of this kind."""
    has_digit, has_space = re.search(r"\d", value) is not None, re.search(r"\s", value) is not None
    if meaning.kind == "password" and not meaning.is_generic:
        if has_space:
            return (
                _APP_PASSWORD.fullmatch(value) is not None
                or (len(value) >= 8 and (has_digit or re.search(r"[^\w\s]", value) is not None))
                or looks_random(value)
            )
        if meaning.is_certain:
            return len(value) >= 2
        # PASSWORD_ORDERS is a password of something, PASSWORD_FLAVOUR is not: only what no one uses as a word counts.
        return looks_random(value) or (
            len(value) >= 8 and has_digit and re.search(r"[A-Za-z]\d|[^\w.\-]", value) is not None
        )
    if meaning.is_generic or not meaning.is_certain:
        return looks_random(value)
    if has_space or value.isdecimal():
        return False
    if meaning.kind == "secret":
        return len(value) >= 5
    has_mixture = has_digit or (value != value.lower() and value != value.upper())
    return looks_random(value) or (len(value) >= 8 and has_mixture) or len(value) >= 20


def entropy(value: str) -> float:
    """Shannon entropy in bits per character."""
    return (
        -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values()) if value else 0.0
    )


_SPACE = re.compile(r"\s")
_DIGIT = re.compile(r"\d")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F\-]{16,4096}")
_SEPARATOR = re.compile(r"[^A-Za-z0-9]+")
_SWITCH = re.compile(r"(?<=\d)(?=\D)|(?<=\D)(?=\d)|(?<=[a-z])(?=[A-Z])")  # between two characters of unlike kinds


def looks_random(value: str) -> bool:
    """Long enough, varied enough and mixed enough that no one made it up as a word."""
    if not 16 <= len(value) <= 4096 or _SPACE.search(value):
        return False
    digits = len(_DIGIT.findall(value))
    if _HEXADECIMAL.fullmatch(value):
        return digits >= 3 and entropy(value) >= 2.8
    if digits < 2 or len(_SWITCH.findall(value)) < 4:
        return False
    return max(map(len, _SEPARATOR.split(value))) >= 12 and entropy(value) >= 3.3
