"""The floors of the policies' accuracy, held on labelled documents of our own writing and AWS's by name."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def label(name: str, *paths: str, admin: bool = False, services: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": name, "admin": admin, "admin_why": [], "service_admin": list(services), "escalation": list(paths)
    }  # fmt: skip


def document(*actions: str, resource: str = "*", **members: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource, **members}
    return {"document": {"Version": "2012-10-17", "Statement": statement}}


MANAGED = [
    label("AmazonS3ReadOnlyAccess"),
    label("AmazonSQSFullAccess", services=("sqs",)),
    label("AmazonEC2ContainerServiceEventsRole"),
    label("SecurityAudit"),
]
OWN = [
    label("everything but bills", admin=True) | {
        "document": {"Statement": [{"Effect": "Allow", "NotAction": "aws-portal:*", "Resource": ["*"]}]}
    },
    label("all of IAM of one role") | document("iam:G*", "iam:L*", resource="arn:aws:iam::000000000001:role/app"),
    label("under a condition") | document("*", Condition=MFA),
    label("one service", services=("sqs",)) | document("SQS:*", "s3:List*"),
    label("passing", "CreateEC2WithExistingIP") | document("iam:Pass*", "ec2:RunInstances"),
    label("half of passing") | document("ec2:RunInstances"),
    label("a shell", "ECSExecuteCommandOnRunningTask") | document("ecs:Ex*", "ecs:DescribeTasks"),
    label("another's policy") | document("iam:PutRolePolicy", resource="arn:aws:iam::*:role/other"),
]  # fmt: skip


def written(folder: Path, managed: list[dict[str, Any]], own: list[dict[str, Any]]) -> Path:
    for name, cases in (("aws_managed_labels", managed), ("third_party", own)):
        text = "\n".join(map(json.dumps, cases))
        (folder / f"iam_policies_{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("accuracy_permissions")


def test_labels_of_our_own_are_met(benchmark: Any, tmp_path: Path) -> None:
    judged = list(benchmark.judge(written(tmp_path, MANAGED, OWN)))
    # Who may do everything may take every path: our label does not list them.
    wrong = [item for item in judged if item.expected != item.found and not item.case.startswith("everything but")]
    assert wrong == []
    floors, score = importlib.import_module("accuracy").FLOORS, importlib.import_module("judged").scores
    for found in score(item for item in judged if not item.case.startswith("everything but")):
        precision, recall = floors[found.trait]
        assert found.precision >= (precision or 0) and found.recall >= (recall or 0)
        assert found.positive or found.trait == benchmark.ADMINISTRATION
    assert [item.found for item in judged if item.trait == benchmark.ADMINISTRATION and item.expected] == [True]


def test_a_label_whose_method_nobody_knows_is_an_error(benchmark: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="NoSuchMethod"):
        list(benchmark.judge(written(tmp_path, [], [label("x", "NoSuchMethod") | document("s3:*")])))
    with pytest.raises(FileNotFoundError):
        list(benchmark.judge(tmp_path / "empty"))
