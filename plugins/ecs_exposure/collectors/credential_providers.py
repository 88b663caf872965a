"""Credentials known by their own structure: vendor-issued formats with a checkable prefix, and PEM private keys.

Whoever finds one can use it, whatever the variable is called. A format counts only when it cannot be mistaken: a fixed
prefix with enough characters after it, or a vendor's own separator. Sources are the vendors' documentation on token
formats. A pattern is tried only where a fixed text of it occurs, and its repetitions are bounded: the work is linear in
the input.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from ecs_exposure.collectors import credential_values as values
from ecs_exposure.collectors import credential_words as words

_FORMATS: tuple[tuple[str, str, str], ...] = (  # detector, texts of which one is in every such value, the whole
    ("aws_access_key_id", "AKIA ASIA", r"(?:AKIA|ASIA)[A-Z2-7]{16}"),
    ("github_token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("github_fine_grained_token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    (
        "gitlab_token",
        "glpat- gldt- glrt- glptt- glagent- gloas- glcbt- glft- glimt- glsoat-",
        r"gl(?:pat|dt|rt|ptt|agent|oas|cbt|ft|imt|soat)-[A-Za-z0-9_\-.]{20,64}",
    ),
    ("bitbucket_token", "ATBB ATCTT3", r"(?:ATBB[A-Za-z0-9]{32}|ATCTT3[A-Za-z0-9_\-=]{60,250})"),
    ("atlassian_token", "ATATT3", r"ATATT3[A-Za-z0-9_\-=]{60,250}"),
    ("slack_token", "xox", r"xox[abeoprs](?:\.xox[bp])?-(?:\d{1,20}-){1,4}[A-Za-z0-9]{10,250}"),
    ("slack_app_token", "xapp-", r"xapp-\d-[A-Z0-9]{6,20}-\d{6,20}-[a-f0-9]{40,128}"),
    (
        "slack_webhook",
        "hooks.slack.com",
        r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[A-Z0-9]{6,16}/[A-Za-z0-9/_]{14,120}",
    ),
    (
        "discord_webhook",
        "api/webhooks/",
        r"https://discord(?:app)?\.com/api/webhooks/\d{17,20}/[A-Za-z0-9_\-]{60,90}",
    ),
    (
        "teams_webhook",
        "webhook.office.com",
        r"https://[a-z0-9\-]{1,63}\.webhook\.office\.com/webhookb2/[a-f0-9@\-]{73}/IncomingWebhook/[a-f0-9]{32}/"
        r"[a-zA-Z0-9\-/_]{36,120}",
    ),
    ("stripe_key", "sk_ rk_", r"(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,255}"),
    ("stripe_webhook_secret", "whsec_", r"whsec_[A-Za-z0-9+/=]{24,100}"),
    ("google_api_key", "AIza", r"AIza[A-Za-z0-9_\-]{35}"),
    ("google_oauth_secret", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_\-]{28}"),
    ("google_oauth_token", "ya29.", r"ya29\.[A-Za-z0-9_\-]{20,500}"),
    ("sendgrid_key", "SG.", r"SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}"),
    ("sendinblue_key", "xkeysib-", r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    ("twilio_key", "SK", r"SK[0-9a-f]{32}"),
    ("mailgun_key", "key-", r"key-[0-9a-f]{32}"),
    ("mailchimp_key", "-us", r"[0-9a-f]{32}-us\d{1,2}"),
    ("npm_token", "npm_", r"npm_[A-Za-z0-9]{36}"),
    ("pypi_token", "pypi-", r"pypi-[A-Za-z0-9_\-]{50,250}"),
    ("rubygems_key", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    ("openai_key", "sk-", r"sk-(?:(?:proj|svcacct|admin|live|service)-[A-Za-z0-9_\-]{20,200}|[A-Za-z0-9]{48})"),
    ("anthropic_key", "sk-ant-", r"sk-ant-[A-Za-z0-9_\-]{20,200}"),
    ("huggingface_token", "hf_", r"hf_[A-Za-z]{34}"),
    ("groq_key", "gsk_", r"gsk_[A-Za-z0-9]{52}"),
    ("shopify_token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("square_token", "EAAA sq0", r"(?:EAAA|sq0(?:atp|csp)-)[A-Za-z0-9_\-]{22,60}"),
    ("digitalocean_token", "_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    ("vault_token", "hvs. hvb. hvr.", r"hv[sbr]\.[A-Za-z0-9_\-]{24,200}"),
    ("terraform_token", "atlasv1", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_\-]{60,70}"),
    ("pulumi_token", "pul-", r"pul-[a-f0-9]{40}"),
    ("newrelic_key", "NRAK- NRII- NRAL", r"(?:NR(?:AK|II)-[A-Za-z0-9\-]{27,32}|[0-9a-f]{36}NRAL)"),
    ("grafana_token", "glsa_ glc_", r"(?:glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/=]{32,400})"),
    ("dynatrace_token", "dt0c01", r"dt0c01\.[A-Z2-7]{24}\.[A-Z2-7]{64}"),
    ("sentry_token", "sntrys_ sntryu_", r"sntr(?:ys|yu)_[A-Za-z0-9+/=_]{43,500}"),
    ("docker_hub_token", "dckr_", r"dckr_(?:pat|oat)_[A-Za-z0-9_\-]{27,40}"),
    ("linear_key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}"),
    ("notion_key", "ntn_", r"ntn_\d{11}[A-Za-z0-9]{35}"),
    ("figma_token", "figd_", r"figd_[A-Za-z0-9_\-]{40}"),
    ("postman_key", "PMAK-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    ("doppler_token", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.\-]{40,64}"),
    ("planetscale_token", "pscale_", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9=\-_.]{32,64}"),
    ("supabase_token", "sbp_ sb_secret_", r"(?:sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_\-]{30,50})"),
    ("mapbox_secret_token", "sk.eyJ", r"sk\.eyJ[A-Za-z0-9_\-]{20,200}\.[A-Za-z0-9_\-]{20,40}"),
    ("databricks_token", "dapi", r"dapi[a-f0-9]{32}"),
    ("azure_storage_key", "AccountKey", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("azure_shared_access_key", "SharedAccessKey", r"SharedAccessKey=[A-Za-z0-9+/]{43}="),
    ("telegram_bot_token", ":AA", r"\d{8,10}:AA[A-Za-z0-9_\-]{33}"),
    ("age_key", "AGE-SECRET-KEY-", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("one_password_token", "ops_eyJ", r"ops_eyJ[A-Za-z0-9+/=]{200,2000}"),
    ("tailscale_key", "tskey-", r"tskey-(?:auth|api|client|webhook)-[A-Za-z0-9]{8,40}-[A-Za-z0-9]{20,60}"),
    ("cloudflare_origin_key", "v1.0-", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    ("flutterwave_key", "FLWSECK", r"FLWSECK(?:_TEST)?-[a-hA-H0-9]{12,40}-X"),
)
_PATTERNS = tuple(
    (name, tuple(texts.split()), re.compile(rf"(?<![A-Za-z0-9_]){pattern}(?![A-Za-z0-9])"))
    for name, texts, pattern in _FORMATS
)
_TEXTS = tuple({text for _, texts, _ in _PATTERNS for text in texts})
_BROWSER_KEYS = {"google_api_key"}  # also issued for web pages, where a name with `public` says so

_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----([^-]{1,16000})")
_PEM_BASE64 = "LS0tLS1CRUdJTi"
_AWS_SECRET = re.compile(r"[A-Za-z0-9/+]{40}")


def vendor_secrets(name: str, value: str) -> Iterator[tuple[str, str]]:
    """(detector, secret) of every vendor-issued credential in a value, examples and public keys left out."""
    for detector, texts, pattern in _PATTERNS if any(map(value.__contains__, _TEXTS)) else ():
        if not any(map(value.__contains__, texts)):
            continue
        for match in pattern.finditer(value):
            if not values.is_dummy(match[0]) and not (detector in _BROWSER_KEYS and words.is_public(name)):
                yield detector, match[0]
                break
    is_40_characters = len(value) == 40 and _AWS_SECRET.fullmatch(value) is not None
    if is_40_characters and {"aws", "secret"} <= set(words.split(name)) and not values.is_dummy(value):
        yield "aws_secret_access_key", value


def private_key(value: str) -> str | None:
    """The body of an unencrypted PEM private key in a value, in clear or in base64; None when there is none."""
    if _PEM_BASE64 in value:
        start = value.index(_PEM_BASE64)
        encoded = re.match(r"[A-Za-z0-9+/]{0,16384}", value[start:])
        text = encoded[0] if encoded else ""
        try:
            value = base64.b64decode(text[: len(text) - len(text) % 4]).decode("ascii", "replace")
        except binascii.Error:
            return None
    if "PRIVATE KEY" not in value:
        return None
    match = _PEM.search(value)
    if match is None:
        return None
    body = re.sub(r"\\n|[^A-Za-z0-9+/=]", "", match[1])
    return None if len(body) < 48 or values.is_dummy(body) else body
