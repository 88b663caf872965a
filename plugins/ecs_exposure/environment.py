"""The settings as an environment file: `.env.example`, and what is in force."""

from __future__ import annotations

import textwrap

from pydantic import SecretStr

from ecs_exposure.settings import PREFIX, Settings

HEAD = """\
# Settings of ECS exposure. Set them where the scan runs; from a copy of this file: set -a; . ./.env; set +a
# A variable that is empty counts as not set; lists are comma-separated.
# Written by `ecs-exposure settings --example`; a test keeps it current.
"""


def env_file(settings: Settings | None = None) -> str:
    """Every setting as `NAME=value` below its description: the defaults, commented out, or what is in force."""
    parts = [HEAD] if settings is None else []
    for name, field in Settings.model_fields.items():
        value = field.default if settings is None else getattr(settings, name)
        is_secret = isinstance(value, SecretStr) or "SecretStr" in str(field.annotation)
        described = textwrap.wrap(f"{field.description}{' Secret.' if is_secret else ''}", 118)
        is_path_default = name == "sql" and settings is None  # where the package lies: different on every machine
        shown = "" if value is None or is_path_default else "(set)" if is_secret else _text(value)
        comment = "#" if settings is None or (value is None) else ""
        parts.append(
            "\n".join([*(f"# {line}" for line in described), f"{comment}{PREFIX}{name.upper()}={shown}"]) + "\n"
        )
    return "\n".join(parts)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
