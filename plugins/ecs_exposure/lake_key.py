"""The key of a local lake's credential fingerprints: made once, readable by its owner only."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from ecs_exposure.storage import LakeError

NAME = ".fingerprint-key"
BYTES = 32


def lake_key(folder: Path) -> bytes:
    """The key kept in a lake's folder, made (mode 600) when there is none. Raises LakeError when its file has none."""
    path = folder / NAME
    if not path.exists():
        # Complete before it has its name: neither a kill nor a task beside this one may leave or see half a key.
        draft = path.with_name(f"{NAME}-{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_hex(BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    text = path.read_text(encoding="utf-8").strip()
    if not re.fullmatch(rf"[0-9a-f]{{{2 * BYTES}}}", text):
        raise LakeError(
            f"{path} holds no key: restore it from a backup, or remove it to have a new one made "
            "(credentials get new fingerprints, and every task definition is described again)"
        )
    return bytes.fromhex(text)
