"""Access to AWS: what errors mean, and that requests keep to their share of AWS's published rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from ecs_exposure.aws_errors import IncompleteAnswer, RoleError, classify
from ecs_exposure.aws_operations import OPERATIONS, UNREAD, Bucket, KnownOperations, Rate

ROLE = "arn:aws:iam::111111111111:role/ecs-exposure-read"


def error(code: str, message: str = "no", operation: str = "ListClusters") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (error("AccessDeniedException"), "denied", "deploy/"),
        (error("UnauthorizedOperation"), "denied", "UnauthorizedOperation"),
        (
            error("AccessDenied", "… with an explicit deny in a service control policy"),
            "excluded",
            "policy of the organisation",
        ),
        (error("UnrecognizedClientException"), "excluded", "ECS_EXPOSURE_REGIONS"),
        (
            error("AccessDeniedException", "Invoking account does not have access to api.", "ListFindings"),
            "not_enabled",
            "switch",
        ),
        (error("InvalidAccessException", "Account is not subscribed", "BatchImportFindings"), "not_enabled", "switch"),
        (error("ThrottlingException", "Rate exceeded"), "failed", "ThrottlingException"),
        (IncompleteAnswer("ListTasks answered without taskArns"), "failed", "taskArns"),
        (EndpointConnectionError(endpoint_url="https://ecs.eu-west-1.amazonaws.com"), "failed", "eu-west-1"),
        (NoCredentialsError(), "failed", "AWS_PROFILE"),
        (RoleError(error("AccessDenied", operation="AssumeRole"), ROLE), "denied", ROLE),
        (RoleError(error("ExpiredToken", operation="AssumeRole"), ROLE), "failed", "ExpiredToken"),
    ],
)
def test_an_error_has_a_status_and_says_what_to_do(raised: Exception, status: str, said: str) -> None:
    got, message = classify(raised)
    assert got == status
    assert said in message


def test_a_refused_role_never_repeats_what_sts_said() -> None:
    told = error("ValidationError", "Value 'my external id' at 'externalId' failed", "AssumeRole")
    status, message = classify(RoleError(told, ROLE))
    assert status == "failed"
    assert "my external id" not in message + str(RoleError(told, ROLE))


def test_a_message_is_one_short_line() -> None:
    _, message = classify(error("Odd", "a\x1b[31m\n" + "x" * 2000))
    assert len(message) <= 500
    assert message.isprintable()


def test_a_bucket_lets_the_burst_go_and_then_hands_out_places() -> None:
    bucket = Bucket(burst=3, refill=2, now=0.0)
    assert [bucket.reserve(0.0) for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    assert bucket.reserve(10.0) == 0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = Bucket(burst=2, refill=10, now=0.0)
    assert [bucket.reserve(1000.0) for _ in range(3)] == [0, 0, 0.1]


def test_ecs_operations_of_one_group_share_a_bucket() -> None:
    ecs = OPERATIONS["ecs"]
    assert ecs["ListTasks"] == ecs["DescribeContainerInstances"]
    assert ecs["DescribeTaskDefinition"].group != ecs["DescribeServices"].group
    assert OPERATIONS["securityhub"]["BatchImportFindings"] == Rate(2, 10)


@pytest.mark.parametrize("service", OPERATIONS)
def test_a_client_has_the_known_operations_whole_and_no_other(service: str) -> None:
    whole = Loader().load_service_model(service, "service-2")
    known = KnownOperations().load_service_model(service, "service-2")
    assert set(known["operations"]) == set(OPERATIONS[service]) < set(whole["operations"])
    model = ServiceModel(known, service)
    for name in OPERATIONS[service]:
        operation = model.operation_model(name)
        for shape, expected in (
            (operation.input_shape, ServiceModel(whole, service).operation_model(name).input_shape),
            (operation.output_shape, ServiceModel(whole, service).operation_model(name).output_shape),
        ):
            assert _members(shape, {}) == _members(expected, UNREAD.get(service, {}))


def _members(shape: Any, unread: Mapping[str, tuple[str, ...]], within: tuple[str, ...] = ()) -> Any:
    """The whole tree below a shape, what nobody reads apart: names, types and wire names."""
    if shape is None or shape.name in within:
        return shape and shape.name
    inner = (*within, shape.name)
    told = (shape.name, shape.type_name, shape.serialization)
    if shape.type_name == "structure":
        read = {name: member for name, member in shape.members.items() if name not in unread.get(shape.name, ())}
        return told, {name: _members(member, unread, inner) for name, member in read.items()}
    if shape.type_name == "list":
        return told, _members(shape.member, unread, inner)
    if shape.type_name == "map":
        return told, _members(shape.key, unread, inner), _members(shape.value, unread, inner)
    return told
