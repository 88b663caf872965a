"""Reads what a CloudFormation template grants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Reads `!Ref x` as {'!Ref': x}, so that a template is plain data."""


def _tag(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {f"!{tag}": loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {f"!{tag}": loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {f"!{tag}": loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tag)


def template(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    return loaded


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """The policy statements of an AWS::IAM::Role resource, those behind a condition among them."""
    found = []
    for policy in role["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            found.append(statement["!If"][1] if "!If" in statement else statement)
    return found


def policy_actions(template: dict[str, Any], role: str) -> set[str]:
    """The actions that a template's role (by its logical id) is allowed.

    Raises AssertionError for a statement that is not a plain Allow.
    """
    actions: set[str] = set()
    for statement in statements(template["Resources"][role]):
        assert statement["Effect"] == "Allow", statement
        assert "NotAction" not in statement, statement
        listed = statement["Action"]
        actions |= {listed} if isinstance(listed, str) else set(listed)
    return actions
