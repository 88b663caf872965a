"""Services by chance, the same for the same seed: every kind of fact that a severity rests on, in all combinations."""

from __future__ import annotations

import random
from itertools import pairwise

from tests.exposures.night import Row, Shape, cve

VECTORS = (
    "AV:N/AC:L/PR:N/UI:N/C:H/I:H/A:H", "AV:N/AC:L/PR:N/UI:N/C:L/I:L/A:N", "AV:N/AC:H/PR:N/UI:N/C:H/I:H/A:N",
    "AV:N/AC:L/PR:L/UI:N/C:H/I:H/A:H", "AV:N/AC:L/PR:N/UI:R/C:H/I:L/A:N", "AV:L/AC:L/PR:N/UI:R/C:L/I:N/A:N",
    "AV:N/AC:L/PR:N/UI:N/C:N/I:N/A:H", "AV:L/AC:L/PR:N/UI:N/C:N/I:N/A:H", "AV:A/AC:L/PR:N/UI:N/C:H/I:H/A:H", None,
)  # fmt: skip
EPSS = (None, 0.0, 0.000007, 0.0061, 0.034567, 0.0099, 0.01, 0.02, 0.04, 0.07, 0.0999, 0.1, 0.376543, 0.97, 1.0)
PACKAGES = (
    ("openssl",), ("zlib",), ("libssl3", "openssl"), ("libstdc++6",), ("linux-libc-dev",), ("linux-libc-dev", "zlib"),
)  # fmt: skip
MOUNTS = (
    ("/var/run/docker.sock", True), ("/run/containerd/containerd.sock", False), ("/", True), ("/", False),
    ("/etc", False), ("/proc", True), ("/sys", False), ("/var/lib", False), ("/srv", False),
)  # fmt: skip
CAPABILITIES = ("NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN", "SYS_MODULE", "CHOWN", "ALL")
SHARED = "CVE-2025-"  # ids that several images have
AGAIN = "CVE-2024-"  # ids that one image has several times
ROLES = (
    None, None, "scoped", "scoped", "scoped", "data", "data", "service_admin", "admin", "shell", "missing", "missing",
)  # fmt: skip
PATHS = ("path", "trust", "minting", "executor", "administrator_next", "chain")


def a_cve(chance: random.Random) -> Row:
    """One in four is of a small set that many images share, where only what Inspector says per image may differ."""
    shared = chance.randrange(40) if chance.random() < 0.25 else None
    known = chance if shared is None else random.Random(shared)
    return cve(
        id=None if shared is None else f"{SHARED}{1000 + shared}",
        epss=known.choice(EPSS),
        kev=known.choice([False, False, False, True, None]),
        vector=chance.choice(VECTORS),
        exploit=chance.choice([False, False, True, None]),
        severity=chance.choice(["LOW", "MEDIUM", "HIGH", "CRITICAL", "UNTRIAGED"]),
        packages=chance.choice(PACKAGES),
        status=chance.choice(["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "SUPPRESSED"]),
    )


def some_cves(chance: random.Random, most: int) -> tuple[Row, ...]:
    """As many as chance says; one may be found again in other packages of the image, and be judged otherwise there."""
    made = [a_cve(chance) for _ in range(chance.choice([0, 0, 1, 1, 2, most]))]
    for earlier, row in pairwise(made):
        if chance.random() < 0.1:
            earlier["id"] = earlier["id"] or f"{AGAIN}{chance.randrange(10**9)}"
            row |= {name: earlier[name] for name in ("id", "epss", "kev")}
    places: set[tuple[str, str]] = set()
    kept = []
    for row in made:
        found = {(row["id"], package) for package in row["packages"]}
        if row["id"] is None or not found & places:
            kept.append(row)
            places |= found
    return tuple(kept)


def a_shape(chance: random.Random) -> Shape:
    """Half of them without any configuration that drives, so that vulnerabilities decide as often as not."""
    is_plain = chance.random() < 0.5

    def rare(value: object, usual: object = None, share: float = 0.25) -> object:
        return value if not is_plain and chance.random() < share else usual

    options: dict[str, object] = {
        "public": chance.random() < (0.2 if is_plain else 0.35),
        "balancer": chance.choice([None, None, "internet-facing", "internal"]),
        "has_public_ip": rare(True, False),
        "has_open_group": rare(True, False),
        "ports": chance.choice([(8080,), (8080,), (8080, 443), (6379,), (8080, 5432), (22,)]),
        "launch_type": chance.choice(["FARGATE", "FARGATE", "EC2", "EC2", "MANAGED_INSTANCES"]),
        "role": chance.choice((*ROLES, chance.choice(PATHS))),
        "cves": some_cves(chance, 6),
        "sidecar": some_cves(chance, 3) if chance.random() < 0.3 else None,
        "scan": chance.choice(["ACTIVE"] * 6 + [None, "public"]),
        "credential": rare(chance.choice(["generic", "provider"])),
        "is_privileged": rare(True, False, 0.1),
        "mounts": rare(tuple(chance.sample(MOUNTS, chance.randint(1, 2))), (), 0.2),
        "pid_mode": rare("host", None, 0.2),
        "ipc_mode": rare("host", None, 0.1),
        "capabilities": rare(tuple(chance.sample(CAPABILITIES, chance.randint(1, 2))), (), 0.3),
        "user": rare(None, "1000"),
        "has_writable_root": rare(True, False),
        "has_execute_command": rare(True, False),
        "sidecar_scan": rare(None, "same"),
        "is_dormant": chance.random() < 0.08,
    }
    if options["sidecar"] is not None and chance.random() < 0.4:
        options["second_sidecar"] = some_cves(chance, 3)
    if options["launch_type"] == "EC2":
        options["instance_role"] = chance.choice([None] * 12 + ["scoped", "path", "admin"])
        options["network_mode"] = chance.choice(["awsvpc", "bridge", "host"])
    return Shape(**options)  # type: ignore[arg-type]


def shapes(seed: int, count: int) -> list[Shape]:
    chance = random.Random(seed)
    return [a_shape(chance) for _ in range(count)]
