"""The router: accounts, Regions, faults, recorded calls, state between runs."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from embedded_aws import AwsError, Call, EmbeddedAws
from embedded_aws.protocol import ContractError, Request, encode, operation_name

from tests.embedded_aws.conftest import ACCOUNT, REGION


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_accounts_and_regions_are_apart(aws: EmbeddedAws) -> None:
    aws.client("ecs", ACCOUNT, REGION).create_cluster(clusterName="shop")
    aws.client("ec2", ACCOUNT, REGION).create_vpc(CidrBlock="10.9.0.0/16")

    def seen(account: str, region: str) -> tuple[int, bool]:
        clusters = aws.client("ecs", account, region).list_clusters()["clusterArns"]
        vpcs = aws.client("ec2", account, region).describe_vpcs()["Vpcs"]
        return len(clusters), "10.9.0.0/16" in {vpc["CidrBlock"] for vpc in vpcs}

    assert seen(ACCOUNT, REGION) == (1, True)
    assert seen("444444444444", REGION) == (0, False)
    assert seen(ACCOUNT, "us-east-1") == (0, False)


def test_an_unchanged_client_reaches_every_service_through_the_environment(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environ().items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    role = session.client("sts").assume_role(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/any-role", RoleSessionName="scan", DurationSeconds=900
    )["Credentials"]
    member = boto3.Session(role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"], region_name=REGION)
    member.client("ecs").create_cluster(clusterName="c")
    member.client("ecr").describe_repositories()
    member.client("elbv2").describe_load_balancers()
    member.client("iam").list_roles()
    member.client("s3").list_buckets()

    assert {call[0] for call in aws.calls if call[2] != "sts"} == {ACCOUNT}
    operations = {(service, operation) for _, _, service, operation in aws.calls}
    assert operations == {
        ("sts", "AssumeRole"),
        ("ecs", "CreateCluster"),
        ("ecr", "DescribeRepositories"),
        ("elbv2", "DescribeLoadBalancers"),
        ("iam", "ListRoles"),
        ("s3", "ListBuckets"),
    }
    assert aws.calls_by_role["any-role", "ecs", "CreateCluster"] == 1


def test_s3_objects_come_back_as_they_went_in(aws: EmbeddedAws) -> None:
    s3 = aws.client("s3", ACCOUNT, "us-east-1")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="a b/part=1/x.bin", Body=bytes(range(256)) * 100)
    assert s3.get_object(Bucket="lake", Key="a b/part=1/x.bin")["Body"].read() == bytes(range(256)) * 100
    assert aws.calls[ACCOUNT, "us-east-1", "s3", "PutObject"] == 1


def test_a_connection_carries_many_requests(aws: EmbeddedAws) -> None:
    connection = http.client.HTTPConnection(aws.endpoint_url.removeprefix("http://"))
    for _ in range(3):
        scope = "AWS4-HMAC-SHA256 Credential=AKIA/20261102/eu-west-1/ecs/aws4_request"
        target = "AmazonEC2ContainerServiceV20141113.ListClusters"
        connection.request("POST", "/", b"{}", {"Authorization": scope, "X-Amz-Target": target})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"clusterArns": []}')
        assert not answer.will_close


def test_a_fault_gives_its_error_after_and_as_often_as_told(ecs: Any, aws: EmbeddedAws, once: Config) -> None:
    client = aws.client("ecs", ACCOUNT, REGION, config=once)
    aws.fault(service="ecs", operation="ListClusters", code="ThrottlingException", after=1, times=2)
    client.list_clusters()
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            client.list_clusters()
        assert code(error) == "ThrottlingException"
    client.list_clusters()


@pytest.mark.parametrize("service, call", [
    ("ec2", "describe_subnets"), ("elbv2", "describe_load_balancers"), ("iam", "list_roles"), ("s3", "list_buckets"),
    ("ecr", "describe_repositories"), ("inspector2", "list_findings"), ("organizations", "list_accounts"),
])  # fmt: skip
def test_a_fault_speaks_each_protocol(aws: EmbeddedAws, once: Config, service: str, call: str) -> None:
    operation = "".join(word.capitalize() for word in call.split("_"))
    aws.fault(service=service, operation=operation, code="SomethingBroke", status=400, message="as <told>")
    with pytest.raises(ClientError) as error:
        getattr(aws.client(service, ACCOUNT, REGION, config=once), call)()
    assert error.value.response["Error"]["Code"] == "SomethingBroke"
    assert error.value.response["Error"]["Message"] == "as <told>"


def test_a_fault_binds_only_the_account_and_region_it_names(aws: EmbeddedAws, once: Config) -> None:
    aws.fault(service="ecs", operation="ListClusters", account_id=ACCOUNT, region=REGION, code="Broken")
    aws.client("ecs", "444444444444", REGION).list_clusters()
    aws.client("ecs", ACCOUNT, "us-east-1").list_clusters()
    with pytest.raises(ClientError):
        aws.client("ecs", ACCOUNT, REGION, config=once).list_clusters()


def test_a_truncated_answer_has_lost_its_lists(ecs: Any, aws: EmbeddedAws) -> None:
    ecs.create_cluster(clusterName="c")
    aws.fault(service="ecs", operation="ListClusters", truncate=True)
    aws.fault(service="ec2", operation="DescribeSubnets", truncate=True)
    answer = ecs.list_clusters()
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert "clusterArns" not in answer
    assert not aws.client("ec2", ACCOUNT, REGION).describe_subnets().get("Subnets")


def test_a_dropped_connection_is_one_for_the_client(aws: EmbeddedAws, once: Config) -> None:
    aws.fault(service="ecs", operation="ListClusters", drop=True, times=1)
    client = aws.client("ecs", ACCOUNT, REGION, config=once)
    with pytest.raises(ConnectionClosedError):
        client.list_clusters()
    assert client.list_clusters()["clusterArns"] == []


def test_a_listing_can_die_between_its_pages(ecs: Any, aws: EmbeddedAws, once: Config) -> None:
    for number in range(7):
        ecs.create_cluster(clusterName=f"c{number}")
    aws.fault(service="ecs", operation="ListClusters", code="ServerException", status=400, after=1)
    pages = aws.client("ecs", ACCOUNT, REGION, config=once).get_paginator("list_clusters")
    seen: list[str] = []
    with pytest.raises(ClientError):
        for page in pages.paginate(PaginationConfig={"PageSize": 5}):
            seen += page["clusterArns"]
    assert len(seen) == 5


def test_an_operation_nobody_plays_is_refused_and_not_invented(ecs: Any) -> None:
    with pytest.raises(ClientError) as error:
        ecs.describe_service_deployments(serviceDeploymentArns=["arn:aws:ecs:eu-west-1:333333333333:x"])
    assert code(error) == "NotPlayedByTheEmbeddedAws"


@pytest.mark.parametrize("output", [
    {"clusterArns": [], "clusters": []},
    {"clusterArns": "not a list"},
    {"clusterArns": [1]},
])  # fmt: skip
def test_a_fake_cannot_say_what_aws_could_not(output: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        encode("ecs", "ListClusters", output)


def test_a_bug_of_a_fake_fails_its_owner(monkeypatch: pytest.MonkeyPatch, server: EmbeddedAws) -> None:
    server.reset()
    monkeypatch.setattr(server.ecs, "call", lambda call: {"nonsense": call.operation})
    with pytest.raises(ClientError):
        server.client("ecs", ACCOUNT, REGION).list_clusters()
    assert "nonsense" in server.failures.pop()
    assert not server.failures


def test_rest_operations_are_told_apart_by_path_query_and_header() -> None:
    def name(method: str, path: str, query: str = "", **headers: str) -> str:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return operation_name("s3", Request(method, path, query, sent, b""))

    assert name("GET", "/lake", "list-type=2&prefix=a") == "ListObjectsV2"
    assert name("PUT", "/lake/key") == "PutObject"
    assert name("PUT", "/lake/key", x_amz_copy_source="lake/other") == "CopyObject"
    assert name("POST", "/lake/deep/key", "uploads") == "CreateMultipartUpload"
    assert name("PUT", "/lake/key", "partNumber=1&uploadId=u") == "UploadPart"
    assert name("POST", "/lake/key", "uploadId=u") == "CompleteMultipartUpload"
    assert name("DELETE", "/lake/key", "uploadId=u") == "AbortMultipartUpload"
    assert name("DELETE", "/lake/key") == "DeleteObject"


def test_a_session_of_before_a_reset_is_refused(server: EmbeddedAws) -> None:
    server.reset()
    stale = server.client("ecs", ACCOUNT, REGION)
    server.reset()
    with pytest.raises(ClientError) as error:
        stale.list_clusters()
    assert code(error) == "UnrecognizedClientException"


def test_many_threads_and_accounts_do_not_mix(aws: EmbeddedAws) -> None:
    def work(number: int) -> set[str]:
        account = f"{number:012}"
        ecs, ec2 = aws.client("ecs", account, REGION), aws.client("ec2", account, REGION)
        seen: set[str] = set()
        for turn in range(5):
            ecs.create_cluster(clusterName=f"c{turn}")
            seen |= {arn.split(":")[4] for arn in ecs.list_clusters()["clusterArns"]}
            seen |= {subnet["OwnerId"] for subnet in ec2.describe_subnets()["Subnets"]}
        return seen

    with ThreadPoolExecutor(8) as pool:
        for number, seen in enumerate(pool.map(work, range(16))):
            assert seen == {f"{number:012}"}


def test_moto_answers_the_services_nobody_here_plays(aws: EmbeddedAws) -> None:
    queue = aws.client("sqs", ACCOUNT, REGION).create_queue(QueueName="q")["QueueUrl"]
    assert ACCOUNT in queue


def test_state_is_kept_between_runs(server: EmbeddedAws, tmp_path: Path) -> None:
    server.reset()
    ecs = server.client("ecs", ACCOUNT, REGION)
    ecs.create_cluster(clusterName="kept")
    ecs.register_task_definition(
        family="f",
        containerDefinitions=[{"name": "a", "image": "nginx", "memory": 128}],
        tags=[{"key": "k", "value": "v"}],
    )
    ecs.create_service(cluster="kept", serviceName="s", taskDefinition="f", desiredCount=0)
    before = ecs.describe_services(cluster="kept", services=["s"])["services"]
    dumped = server.ecs.dump()
    server.ecs.restore({})
    assert ecs.list_clusters()["clusterArns"] == []
    server.ecs.restore(dumped)
    assert ecs.describe_services(cluster="kept", services=["s"])["services"] == before
    assert ecs.describe_task_definition(taskDefinition="f", include=["TAGS"])["tags"] == [{"key": "k", "value": "v"}]


def test_only_one_runs_in_a_process(server: EmbeddedAws) -> None:
    with pytest.raises(RuntimeError, match="already running"), EmbeddedAws():
        pass


def test_a_fault_is_one_kind_of_failure(aws: EmbeddedAws) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        aws.fault(service="ecs", operation="ListClusters", code="A", drop=True)


def test_fakes_can_be_called_without_http(aws: EmbeddedAws) -> None:
    with pytest.raises(AwsError) as error:
        aws.ecs.call(Call(ACCOUNT, REGION, "ecs", "ListServices", {"cluster": "none"}))
    assert error.value.code == "ClusterNotFoundException"
