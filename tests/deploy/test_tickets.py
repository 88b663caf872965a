"""Tickets: which findings the rules of deploy/tickets.yaml pick, what examples/tickets.py makes of their messages."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import boto3
import pytest
from ecs_exposure.securityhub.asff import GENERATOR_ID, closing_document, to_asff
from embedded_aws import EmbeddedAws
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from tickets import TOLD, Change, Message, Ticket, Tickets, consume

from tests.deploy.eventbridge import matches, message
from tests.deploy.policies import statements, template
from tests.securityhub.rows import ACCOUNT, REGION, row

TEMPLATE = template(Path(__file__).parents[2] / "deploy" / "tickets.yaml")
RESOURCES = TEMPLATE["Resources"]
NIGHT = datetime(2026, 11, 1, 3, tzinfo=UTC)
EVIL = 'a"b\\c<finding_id>\n{"kind": "close"}'

Event = dict[str, Any]


# A finding in a Security Hub that keeps AWS's contract


class Hub:
    """One finding's life in an embedded Security Hub, and the event that each step of it gives."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._now = NIGHT
        aws.reset()
        aws.securityhub.enable(ACCOUNT, REGION)
        self._client = aws.client("securityhub", ACCOUNT, REGION)

    def imports(self, document: dict[str, Any] | None = None, **changes: Any) -> Event:
        """The publisher sends the finding of a row, or a document."""
        self._now += timedelta(days=1)
        sent = (document or to_asff(row(), "aws")) | {"UpdatedAt": f"{self._now:%Y-%m-%dT%H:%M:%S.123Z}"} | changes
        answer = self._client.batch_import_findings(Findings=[sent])
        assert answer["SuccessCount"] == 1, answer
        return self._event()

    def customer(self, **changes: Any) -> Event:
        """A customer changes the finding; UpdatedAt stays."""
        self._now += timedelta(minutes=1)
        [stored] = self._aws.securityhub.findings()
        identifier = {"Id": stored["Id"], "ProductArn": stored["ProductArn"]}
        self._client.batch_update_findings(FindingIdentifiers=[identifier], **changes)
        return self._event()

    def _event(self) -> Event:
        [stored] = self._aws.securityhub.findings()
        return event(stored, self._now)


def event(finding: dict[str, Any], at: datetime) -> Event:
    """As Security Hub's user guide has it (EventBridge event formats); one finding each."""
    return {
        "version": "0", "id": f"event-{at.isoformat()}", "detail-type": "Security Hub Findings - Imported",
        "source": "aws.securityhub", "account": ACCOUNT, "time": f"{at:%Y-%m-%dT%H:%M:%SZ}", "region": REGION,
        "resources": [finding["ProductArn"] + "/" + finding["Id"]], "detail": {"findings": [finding]},
    }  # fmt: skip


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with EmbeddedAws() as running:
        yield running


@pytest.fixture
def hub(aws: EmbeddedAws) -> Hub:
    return Hub(aws)


# The template


def resolved(value: Any, parameters: dict[str, str]) -> Any:
    """A part of the template with its lists of parameters put in."""
    if isinstance(value, dict):
        if set(value) == {"!Ref"}:
            return parameters[value["!Ref"]].split(",")
        return {key: resolved(item, parameters) for key, item in value.items()}
    return [resolved(item, parameters) for item in value] if isinstance(value, list) else value


def rules(event: Event, **parameters: str) -> list[str]:
    """Logical ids of the rules that match an event."""
    values = {name: item["Default"] for name, item in TEMPLATE["Parameters"].items()} | parameters
    return [
        name
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::Events::Rule"
        and matches(resolved(resource["Properties"]["EventPattern"], values), event)
    ]


def bodies(event: Event) -> list[str]:
    """The messages that an event puts into the queue."""
    return [
        message(target["InputTransformer"], event)
        for name in rules(event)
        for target in RESOURCES[name]["Properties"]["Targets"]
    ]


OPEN, CLOSE, NOTHING = ["OpenRule"], ["CloseRule"], []


def test_the_rules_follow_a_finding_through_its_life(hub: Hub) -> None:
    told = [
        hub.imports(),
        hub.imports(),  # a heartbeat
        hub.customer(Workflow={"Status": "NOTIFIED"}),
        hub.customer(Workflow={"Status": "RESOLVED"}),
        hub.imports(),  # still there: a heartbeat does not reset what the customer resolved
        hub.imports(RecordState="ARCHIVED"),
        hub.imports(),  # reopened: AWS sets the workflow to NEW
        hub.customer(Workflow={"Status": "SUPPRESSED"}),
        hub.imports(RecordState="ARCHIVED"),
        hub.imports(),  # reopened, still suppressed
    ]
    expected = [OPEN, OPEN, NOTHING, CLOSE, CLOSE, CLOSE, OPEN, NOTHING, CLOSE, NOTHING]
    assert [rules(event) for event in told] == expected


def test_severities_are_those_shown_a_customers_among_them(hub: Hub) -> None:
    assert rules(hub.imports(to_asff(row(severity="MEDIUM"), "aws"))) == CLOSE
    assert rules(hub.imports(to_asff(row(severity="CRITICAL"), "aws"))) == OPEN
    assert rules(hub.customer(Severity={"Label": "LOW"})) == CLOSE
    overridden = hub.imports()
    assert rules(overridden) == CLOSE
    assert rules(overridden, Severities="CRITICAL,HIGH,MEDIUM,LOW") == OPEN


def test_the_notified_are_followed_if_one_wants(hub: Hub) -> None:
    hub.imports()
    notified = hub.customer(Workflow={"Status": "NOTIFIED"})
    assert rules(notified, WorkflowStatuses="NEW,NOTIFIED") == OPEN


@pytest.mark.parametrize("change", [{"GeneratorId": "prowler"}, {"GeneratorId": "ecs-exposure-2"}])
def test_findings_of_other_tools_are_left_alone(hub: Hub, change: dict[str, str]) -> None:
    for state in ("ACTIVE", "ARCHIVED"):
        assert rules(hub.imports(RecordState=state, **change)) == NOTHING
    ours = hub.imports()
    assert ours["detail"]["findings"][0]["GeneratorId"] == GENERATOR_ID
    assert rules(ours | {"detail-type": "Security Hub Findings - Custom Action"}) == NOTHING
    assert rules(ours | {"source": "custom"}) == NOTHING


def test_no_finding_matches_both_rules() -> None:
    states = ("ACTIVE", "ARCHIVED")
    workflows = ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")
    labels = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL")
    unmatched = set()
    for state, workflow, label in product(states, workflows, labels):
        finding = {"RecordState": state, "Workflow": {"Status": workflow}, "Severity": {"Label": label}}
        found = rules(event(finding | {"GeneratorId": GENERATOR_ID, "ProductArn": "", "Id": ""}, NIGHT))
        assert len(found) <= 1, finding
        if not found:
            unmatched.add((state, workflow, label))
    assert unmatched == set(product(["ACTIVE"], ["NOTIFIED", "SUPPRESSED"], ["CRITICAL", "HIGH"]))


def test_a_message_says_what_a_ticket_needs_whatever_the_names(hub: Hub) -> None:
    opened = hub.imports(to_asff(row(owner=EVIL, account_name=EVIL, service_name=EVIL), "aws"))
    [body] = bodies(opened)
    ticket = Message.parse(body).ticket
    assert (ticket.finding_id, ticket.is_open, ticket.severity) == (row()["finding_id"], True, "HIGH")
    assert (ticket.account_id, ticket.region) == (ACCOUNT, REGION)
    assert set(ticket.fields) == set(TOLD)
    assert "finding_id" in ticket.fields["owner"] and ticket.fields["fix"] == "Update openssl to 3.0.8"
    assert len(body) < 262_144, "the size SQS has taken since ever"


def test_a_finding_whose_last_words_are_lost_still_closes(hub: Hub) -> None:
    hub.imports()
    closing = closing_document(row(), "aws") | {"CreatedAt": f"{NIGHT:%Y-%m-%dT%H:%M:%SZ}"}
    [body] = bodies(hub.imports(closing))
    assert not Message.parse(body).is_open


def test_what_is_not_delivered_or_not_taken_is_kept() -> None:
    queue = RESOURCES["Queue"]["Properties"]
    assert queue["FifoQueue"] and queue["ContentBasedDeduplication"], "EventBridge demands it of a FIFO queue"
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"!GetAtt": "Refused.Arn"}
    assert RESOURCES["Refused"]["Properties"]["FifoQueue"], "of a FIFO queue, a FIFO queue"
    assert "FifoQueue" not in RESOURCES["Undelivered"]["Properties"], "of a rule, a standard queue"
    for name in ("OpenRule", "CloseRule"):
        [target] = RESOURCES[name]["Properties"]["Targets"]
        assert target["Arn"] == {"!GetAtt": "Queue.Arn"}
        assert target["DeadLetterConfig"] == {"Arn": {"!GetAtt": "Undelivered.Arn"}}
        assert 1 <= len(target["SqsParameters"]["MessageGroupId"]) <= 100
    for name in ("Queue", "Refused", "Undelivered"):
        assert RESOURCES[name]["Properties"]["SqsManagedSseEnabled"]


def test_only_the_two_rules_may_send_and_the_reader_only_take() -> None:
    rule_arns = {"ArnEquals": {"aws:SourceArn": [{"!GetAtt": "OpenRule.Arn"}, {"!GetAtt": "CloseRule.Arn"}]}}
    for name, queue in (("QueuePolicy", "Queue"), ("UndeliveredPolicy", "Undelivered")):
        policy = RESOURCES[name]["Properties"]
        assert policy["Queues"] == [{"!Ref": queue}]
        allowed = [item for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == "Allow"]
        assert [(item["Principal"], item["Action"], item["Condition"]) for item in allowed] == [
            ({"Service": "events.amazonaws.com"}, "sqs:SendMessage", rule_arns)
        ]
    document = RESOURCES["ConsumerPolicy"]["Properties"]["PolicyDocument"]
    [statement] = statements({"Properties": {"Policies": [{"PolicyDocument": document}]}})
    assert statement["Action"] == ["sqs:DeleteMessage", "sqs:ReceiveMessage"]


def test_the_matcher_knows_what_it_knows() -> None:
    two = {"list": [{"a": "x", "b": "y"}, {"a": "z", "b": "w"}], "texts": ["p", "q"], "a": "x"}
    assert matches({"list": {"a": ["x"], "b": ["y", "?"]}, "texts": ["q"]}, two)
    assert not matches({"list": {"a": ["x"], "b": ["w"]}}, two), "one of the objects must match as a whole"
    assert not matches({"a": ["x"], "missing": [{"anything-but": "x"}]}, two), (
        "a field that is not there matches nothing"
    )
    assert matches({"$or": [{"a": ["y"]}, {"a": [{"anything-but": ["y", "z"]}]}]}, two)
    for unknown in ({"a": [{"prefix": "x"}]}, {"$or": [{"a": ["x"]}]}, {"a": "x"}, {}):
        with pytest.raises(AssertionError):
            matches(unknown, two)


# The consumer


class Desk:
    """A ticket system: one ticket per finding id, what it says, and how often it was asked."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.calls: list[Change] = []

    def put(self, change: Change, ticket: Ticket) -> None:
        self.calls.append(change)
        assert change == "open" or self.tickets[ticket.finding_id].is_open, "only an open one is changed or closed"
        self.tickets[ticket.finding_id] = ticket

    def open(self) -> dict[str, Ticket]:
        return {key: ticket for key, ticket in self.tickets.items() if ticket.is_open}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def table(tmp_path: Path, desk: Desk) -> Tickets:
    return Tickets(str(tmp_path / "tickets.sqlite"), desk.put)


def tell(table: Tickets, *events: Event) -> None:
    for one in events:
        for body in bodies(one):
            table.apply(Message.parse(body))


def test_heartbeats_and_repeated_imports_neither_double_nor_reopen(hub: Hub, desk: Desk, table: Tickets) -> None:
    first = hub.imports()
    tell(table, first, first, hub.imports(), hub.imports())
    assert desk.calls == ["open"]
    tell(table, hub.customer(Workflow={"Status": "RESOLVED"}), hub.imports(), hub.imports())
    assert desk.calls == ["open", "close"]


def test_a_ticket_follows_its_finding(hub: Hub, desk: Desk, table: Tickets) -> None:
    tell(table, hub.imports(), hub.imports(to_asff(row(severity="CRITICAL", driver="public_ip"), "aws")))
    [ticket] = desk.open().values()
    assert (ticket.severity, ticket.fields["driver"]) == ("CRITICAL", "public_ip")
    tell(table, hub.imports(RecordState="ARCHIVED"))
    assert desk.open() == {}
    tell(table, hub.imports())
    assert desk.calls == ["open", "update", "close", "open"]
    tell(table, hub.customer(Workflow={"Status": "SUPPRESSED"}), hub.imports())
    assert desk.calls[4:] == [], "what is suppressed is the customer's"


def test_news_that_come_late_change_nothing(hub: Hub, desk: Desk, table: Tickets) -> None:
    opened, archived = hub.imports(), hub.imports(RecordState="ARCHIVED")
    reopened = hub.imports()
    resolved = hub.customer(Workflow={"Status": "RESOLVED"})
    tell(table, archived, opened)
    assert desk.calls == [], "it was over before it was heard of"
    tell(table, resolved, reopened, opened, archived)
    assert desk.calls == [], "the customer's word has the UpdatedAt of the import and a later time"


def test_a_closed_finding_nobody_knew_makes_no_ticket(hub: Hub, desk: Desk, table: Tickets) -> None:
    tell(table, hub.imports(to_asff(row(severity="LOW"), "aws")), hub.imports(RecordState="ARCHIVED"))
    assert desk.calls == []


def test_a_ticket_system_that_fails_is_told_again(hub: Hub, desk: Desk, tmp_path: Path) -> None:
    def broken(change: Change, ticket: Ticket) -> None:
        raise ConnectionError("no answer")

    path = str(tmp_path / "tickets.sqlite")
    opened = hub.imports()
    with pytest.raises(ConnectionError):
        tell(Tickets(path, broken), opened)
    tell(Tickets(path, desk.put), opened)
    assert desk.calls == ["open"]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("[]", "kind"),
        ('{"kind": "other"}', "kind"),
        ('{"kind": "open"}', "finding_id"),
        ('{"kind": "open", "finding_id": "x", "updated_at": 3}', "updated_at"),
        ("{", "Expecting"),
    ],
)
def test_a_message_that_is_none_is_refused_with_what_is_wrong(broken: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Message.parse(broken)


def body(kind: str, finding: str, updated: int, time: int, severity: str) -> str:
    told = {
        "kind": kind, "finding_id": finding, "severity": severity, "account_id": ACCOUNT, "region": REGION,
        "updated_at": f"2026-11-{updated:02}T03:00:00.000Z", "event_time": f"2026-11-20T03:00:{time:02}Z",
    }  # fmt: skip
    return json.dumps(told | ({"product_fields": {"owner": f"team-{severity}"}} if kind == "open" else {}))


BODIES = st.builds(
    body,
    st.sampled_from(["open", "close"]),
    st.sampled_from(["f1", "f2"]),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from(["HIGH", "CRITICAL"]),
)


@given(st.lists(BODIES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_ends_alike(told: list[str], chance: random.Random) -> None:
    shuffled = told + chance.choices(told, k=len(told))
    chance.shuffle(shuffled)
    ends = []
    for messages in (told, shuffled):
        desk = Desk()
        with tempfile.TemporaryDirectory() as folder:
            table = Tickets(f"{folder}/tickets.sqlite", desk.put)
            for one in messages:
                table.apply(Message.parse(one))
            ends.append((table.rows(), desk.open()))
    assert ends[0] == ends[1]
    newest = max(map(Message.parse, told), key=lambda item: (item.finding_id == "f1", item))
    assert (newest.finding_id in ends[0][1]) == newest.is_open


# The queue


@pytest.fixture(scope="module")
def sqs() -> Iterator[Any]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client(
        "sqs", endpoint_url=f"http://{host}:{port}", region_name=REGION, aws_access_key_id="x",
        aws_secret_access_key="x",
    )  # fmt: skip
    server.stop()


@pytest.fixture
def queue(sqs: Any) -> Callable[..., str]:
    """Makes the template's queue; `VisibilityTimeout` 0 lets a message come again at once."""

    def made(name: str) -> str:
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "VisibilityTimeout": "0"}
        url: str = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
        return url

    return made


def test_the_queue_is_emptied_and_repeated_deliveries_fold(
    hub: Hub, sqs: Any, queue: Callable[[str], str], desk: Desk, table: Tickets
) -> None:
    url = queue("emptied")
    events = [hub.imports(), hub.imports(RecordState="ARCHIVED")]
    for one in [*events, *events]:  # EventBridge delivers at least once
        for text in bodies(one):
            sqs.send_message(QueueUrl=url, MessageBody=text, MessageGroupId="ecs-exposure")
    taken = 0
    while count := consume(sqs, url, table, wait_seconds=0):
        taken += count
    assert taken == 2, "the same event's body is a duplicate to SQS"
    assert desk.calls == ["open", "close"]


def test_a_message_that_fails_stays_and_the_others_go_on(
    hub: Hub, sqs: Any, queue: Callable[[str], str], desk: Desk, table: Tickets
) -> None:
    url = queue("stays")
    for text in ("not a message", *bodies(hub.imports())):
        sqs.send_message(QueueUrl=url, MessageBody=text, MessageGroupId="ecs-exposure")
    assert consume(sqs, url, table, wait_seconds=0) == 2
    assert desk.calls == ["open"]
    [left] = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert left["Body"] == "not a message"
