"""The accuracy measurement itself: what it counts, what it leaves out, and that it says no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = "n0tGuess3d"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_ambiguous_pairs_are_not_scored_and_values_never_told(tmp_path: Path) -> None:
    import accuracy_credentials

    (tmp_path / "env_labels.csv").write_text(
        "id,name,value,label,ambiguous\n"
        f"0a,DB_PASSWORD,{SECRET},credential,0\n"
        "0b,DB_PASSWORD,changeme,placeholder,0\n"
        f"0c,NOTE,{SECRET},credential,0\n"
        f"0d,API_KEY,{SECRET}x,credential,1\n"
    )
    judged = list(accuracy_credentials.judge(tmp_path))
    whole = [item for item in judged if item.trait == accuracy_credentials.TRAIT]
    assert [(item.expected, item.found) for item in whole] == [(True, True), (False, False), (True, False)]
    assert len(judged) == 2 * len(whole), "each again in its half"
    assert SECRET not in repr(judged)


def test_peers_cases_go_through_collectors_and_sql_and_wrong_ones_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import accuracy_peers

    rule = {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 25, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    given = [
        ("a", "open_sg_port22", True, "security_group", {"GroupId": "sg-1", "IpPermissions": [rule]}),
        ("b", "open_sg_all_ports", False, "security_group", {"GroupId": "sg-1", "IpPermissions": [rule]}),
        ("c", "privileged", True, "task_definition", {"containerDefinitions": [{"name": "x", "privileged": True}]}),
        ("d", "privileged", False, "task_definition", {"containerDefinitions": [{"name": "x", "privilege": True}]}),
        ("e", "admin_policy", True, "iam_policy", {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}),
        ("f", "public_ip", True, "service",
         {"networkConfiguration": {"awsvpcConfiguration": {"assignPublicIp": "ENABLED"}}}),
        ("g", "public_assumable_role", True, "iam_role", {"RoleName": "x"}),
        ("gt-0341", "star_action_policy", True, "iam_policy",
         {"Statement": [{"Effect": "Allow", "Action": "*", "NotResource": "*"}]}),
    ]  # fmt: skip
    source = {"source_repo": "peer", "case": "x"}
    lines = [
        {"id": name, "trait": trait, "expected": expected, "input_kind": kind, "input": what, **source}
        for name, trait, expected, kind, what in given
    ]  # fmt: skip
    (tmp_path / "peer_cases.jsonl").write_text("\n".join(map(json.dumps, lines)))
    judged = {item.case[0]: (item.expected, item.found) for item in accuracy_peers.judge(tmp_path)}
    assert judged == {name: (expected, expected) for name, _, expected, *_ in given[:6]}
    told = capsys.readouterr().err
    assert "g public_assumable_role: not applicable" in told
    assert "gt-0341 star_action_policy: label not followed: NotResource" in told


def test_make_accuracy_says_what_it_needs() -> None:
    done = subprocess.run(
        ["make", "-o", "venv", "accuracy", f"PYTHON={sys.executable}"],
        cwd=ROOT, env=os.environ | {"DATA": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "make accuracy DATA=folder" in done.stderr
