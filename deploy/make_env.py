#!/usr/bin/env python3
"""Write .env for docker-compose.yml: a generated value for every secret that has none yet.

    python3 deploy/make_env.py           secrets; the scan's settings (.env.example) are yours to add
    python3 deploy/make_env.py --demo    also the settings of the sample organisation and the profile `demo`

Nothing that .env already says is changed: run it again after an upgrade to get what is new. The file is readable by its
owner alone, git ignores it, and no value is printed. Needs only Python 3.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

# Only letters, digits, - and _: a value then needs no quoting in .env, in a URL or in JSON.
SECRETS: dict[str, tuple[str, Callable[[], str]]] = {
    "POSTGRES_PASSWORD": ("Airflow's database", lambda: secrets.token_urlsafe(32)),
    "REDIS_PASSWORD": ("Celery's broker", lambda: secrets.token_urlsafe(32)),
    "AIRFLOW_FERNET_KEY": (
        "encrypts connections and variables in Airflow's database",
        lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    ),
    "AIRFLOW_JWT_SECRET": ("signs what Airflow's processes tell each other", lambda: secrets.token_urlsafe(64)),
    "AIRFLOW_API_SECRET_KEY": ("signs the sessions of Airflow's UI", lambda: secrets.token_urlsafe(32)),
    "AIRFLOW_ADMIN_PASSWORD": ("user `admin` of Airflow's UI", lambda: secrets.token_urlsafe(18)),
    "ECS_EXPOSURE_FINGERPRINT_KEY": (
        "key of the credential fingerprints; keep it, docs/operate.md says what a new one does",
        lambda: secrets.token_urlsafe(32),
    ),
    "ECS_EXPOSURE_EXTERNAL_ID": (
        "what every role of the scan demands: give it to deploy/",
        lambda: secrets.token_hex(16),
    ),
}

# The sample organisation's settings (a test holds them equal to it); any key opens the embedded AWS.
DEMO = {
    "COMPOSE_PROFILES": "demo",
    "AWS_ENDPOINT_URL": "http://embedded-aws:5000",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "ECS_EXPOSURE_ORGANIZATION_ACCOUNT_ID": "111111111111",
    "ECS_EXPOSURE_REGIONS": "eu-west-1,us-east-1",
    "ECS_EXPOSURE_ORGANIZATION_ROLE_NAME": "ecs-exposure-organization",
    "ECS_EXPOSURE_READ_ROLE_NAME": "ecs-exposure-read",
    "ECS_EXPOSURE_PUBLISH_ROLE_NAME": "ecs-exposure-publish",
    "ECS_EXPOSURE_EXTERNAL_ID": "sample-external-id",
    "ECS_EXPOSURE_INSPECTOR_ACCOUNT_ID": "222222222222",
    "ECS_EXPOSURE_PUBLISH": "on",
}

ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$", re.MULTILINE)


def complete(text: str, wanted: dict[str, tuple[str, str]]) -> tuple[str, list[str]]:
    """`text` of an .env with every wanted (name: reason, value) that it leaves out or empty, and the names added."""
    present = {name for name, value in ASSIGNMENT.findall(text) if value.strip()}
    added = [name for name in wanted if name not in present]
    # An empty assignment further up would win in some readers, so it goes.
    for name in added:
        text = re.sub(rf"^\s*(?:export\s+)?{name}=[ \t]*\n?", "", text, flags=re.MULTILINE)
    if added and text and not text.endswith("\n"):
        text += "\n"
    return text + "".join(f"# {wanted[name][0]}\n{name}={wanted[name][1]}\n" for name in added), added


def conflicts(text: str, demanded: dict[str, str]) -> list[str]:
    """Names that `text` sets to something else than demanded."""
    present = dict(ASSIGNMENT.findall(text))
    return [name for name, value in demanded.items() if present.get(name, "").strip() not in ("", value)]


def write_privately(path: Path, text: str) -> None:
    """Readers see the old file or the new one; nobody but the owner reads either."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", action="store_true", help="settings of the sample organisation, profile `demo`")
    parser.add_argument(
        "--file", type=Path, default=Path(__file__).resolve().parents[1] / ".env", help="the file to complete"
    )
    arguments = parser.parse_args()
    wanted = {name: (reason, make()) for name, (reason, make) in SECRETS.items()}
    if arguments.demo:
        for name, value in DEMO.items():
            wanted[name] = ("the embedded AWS", value)
    path: Path = arguments.file
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if arguments.demo and (differing := conflicts(before, DEMO)):
            print(
                f"{path} holds settings of another organisation ({', '.join(differing)}): "
                "move it away, then the demo gets one of its own",
                file=sys.stderr,
            )
            return 1
        text, added = complete(before, wanted)
        write_privately(path, text)
    except OSError as error:
        print(f"cannot write {path}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{path}: " + (f"added {', '.join(added)}" if added else "complete already, nothing changed"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
