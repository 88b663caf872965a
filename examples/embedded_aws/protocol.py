"""AWS's wire protocols, driven by botocore's own service models.

Requests to our fakes are decoded to boto3's input members, their answers are checked against the output shape
and encoded; errors are rendered for every protocol in use (moto's services too, for injected faults).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import msgspec
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.utils import parse_timestamp

_CLASSIC = b"Version=2012-06-01"


class ContractError(Exception):
    """A fake answered with something AWS could not have said: a bug of the fake, never of the caller."""


class UnknownOperation(Exception):
    """The request names no operation of the service's model."""


@dataclass(frozen=True)
class Request:
    """The parts of an HTTP request that the protocols look at. Header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def service_of(signing_name: str, request: Request) -> str:
    """boto3's client name for the name in the SigV4 credential scope, which two services can share."""
    if signing_name == "elasticloadbalancing":
        return "elb" if _CLASSIC in request.body else "elbv2"
    if signing_name == "apigateway" and request.path.startswith("/v2/"):
        return "apigatewayv2"
    return signing_name


@cache
def service_model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


@dataclass(frozen=True)
class _Route:
    """How a REST request is recognised. S3 tells operations of one path apart by query and headers alone."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: dict[str, list[str]]
    """Query literals of the address, e.g. `list-type=2`; and required members that travel in the query, any value."""
    headers: set[str]

    def matches(self, request: Request, query: dict[str, list[str]]) -> bool:
        return (
            self.method == request.method
            and self.path.match(request.path) is not None
            and all(name in query and values in ([""], query[name]) for name, values in self.query.items())
            and self.headers <= request.headers.keys()
        )


@cache
def _routes(service: str) -> list[_Route]:
    """The most demanding first."""
    routes = []
    model = service_model(service)
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, literals = operation.http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(path))
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
        query, headers = parse_qs(literals, keep_blank_values=True), set()
        shape = operation.input_shape
        for member in (shape.members[required] for required in shape.required_members) if shape else ():
            if member.serialization.get("location") == "querystring":
                query.setdefault(member.serialization["name"], [""])
            elif member.serialization.get("location") == "header":
                headers.add(member.serialization["name"].lower())
        routes.append(_Route(name, operation.http["method"], re.compile(pattern + "/?$"), query, headers))
    routes.sort(
        key=lambda route: (
            -len(route.query) - len(route.headers),
            route.path.pattern.count("?P<"),
            -len(route.path.pattern),
        )
    )
    return routes


def operation_name(service: str, request: Request) -> str:
    """The operation a request names; raises UnknownOperation, for a service without a model too."""
    try:
        model = service_model(service)
    except UnknownServiceError as unknown:
        raise UnknownOperation(f"no service model is called {service}") from unknown
    protocol = model.metadata["protocol"]
    if protocol == "json":
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if name in model.operation_names:
            return name
    elif protocol in ("query", "ec2"):
        fields = parse_qs(request.body.decode()) or parse_qs(request.query)
        name = fields.get("Action", [""])[0]
        if name in model.operation_names:
            return name
    else:
        query = parse_qs(request.query, keep_blank_values=True)
        for route in _routes(service):
            if route.matches(request, query):
                return route.operation
    raise UnknownOperation(f"{service}: no operation for {request.method} {request.path}")


# --- requests -----------------------------------------------------------------------------------------------


def decode(service: str, operation: str, request: Request) -> dict[str, Any]:
    """Input members of a `json` or `rest-json` request. Members the model does not know are dropped, as AWS does."""
    model = service_model(service).operation_model(operation)
    shape = model.input_shape
    if shape is None:
        return {}
    body = _json(request.body) if request.body.strip() else {}
    if payload := shape.serialization.get("payload"):
        body = {shape.members[payload].serialization.get("name", payload): body}
    members: dict[str, Any] = _input_decoder(service, operation)(body)
    if service_model(service).metadata["protocol"] == "json":
        return members
    route = next(one for one in _routes(service) if one.operation == operation)
    matched = route.path.match(request.path)
    in_path = matched.groupdict() if matched else {}
    query = parse_qs(request.query)
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "uri" and wire_name in in_path:
            members[name] = _decode_text(member, unquote(in_path[wire_name]))
        elif location == "querystring" and wire_name in query:
            many = member.type_name == "list"
            members[name] = query[wire_name] if many else _decode_text(member, query[wire_name][0])
        elif location == "header" and wire_name.lower() in request.headers:
            members[name] = _decode_text(member, request.headers[wire_name.lower()])
    return members


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:  # half of a character, which only json reads
        return json.loads(body)


Decoder = Callable[[Any], Any]
"""What boto3 would show of a value in JSON, which may be changed in place: of a request of megabytes next to nothing
needs another form. A value of another type than the model's stays: the service is to judge it.
"""


@cache
def _input_decoder(service: str, operation: str) -> Decoder:
    return _structure_decoder(service_model(service).operation_model(operation).input_shape)


class _Members(dict[str, "tuple[str, Decoder | None] | None"]):
    """Members of a structure by their names on the wire; looked up in the model when first met, for it is large."""

    def __init__(self, shape: StructureShape) -> None:
        super().__init__()
        self._shape = shape
        self._names = {member.serialization.get("name", name): name for name, member in shape.members.items()}

    def __missing__(self, wire_name: str) -> tuple[str, Decoder | None] | None:
        name = self._names.get(wire_name)
        if name is None:
            return None
        self[wire_name] = known = (name, _decoder(self._shape.members[name]))
        return known


def _structure_decoder(shape: StructureShape) -> Decoder:
    members = _Members(shape)

    def decode_structure(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        is_renamed = False
        for wire_name, item in value.items():
            known = members[wire_name]
            if known is None or item is None or known[0] != wire_name:
                is_renamed = True
            elif known[1] is not None:
                value[wire_name] = known[1](item)
        if not is_renamed:
            return value
        decoded = {}
        for wire_name, item in value.items():
            known = members[wire_name]
            if known is not None and item is not None:
                name, decoder = known
                decoded[name] = item if decoder is None or name == wire_name else decoder(item)
        return decoded

    return decode_structure


def _decoder(shape: Shape) -> Decoder | None:
    """None: the value is taken as it is."""
    if isinstance(shape, StructureShape):
        return None if shape.is_document_type else _structure_decoder(shape)
    if isinstance(shape, ListShape):
        of_item = _decoder(shape.member)
        return of_item and (lambda value: [of_item(item) for item in value] if isinstance(value, list) else value)
    if isinstance(shape, MapShape):
        of_value = _decoder(shape.value)
        return of_value and (
            lambda value: {key: of_value(item) for key, item in value.items()} if isinstance(value, dict) else value
        )
    return {"timestamp": parse_timestamp, "blob": base64.b64decode}.get(shape.type_name)


def _decode_text(shape: Shape, text: str) -> Any:
    if shape.type_name in ("integer", "long"):
        return int(text)
    if shape.type_name == "boolean":
        return text == "true"
    if shape.type_name == "timestamp":
        return parse_timestamp(text)
    return text


# --- answers ------------------------------------------------------------------------------------------------


def encode(service: str, operation: str, output: dict[str, Any]) -> Response:
    """Answer of a `json` or `rest-json` operation; raises ContractError when the output breaks the model."""
    model = service_model(service)
    shape = model.operation_model(operation).output_shape
    if model.metadata["protocol"] == "rest-xml" and shape is not None:
        _encode_structure(shape, output, f"{service}.{operation}")
        payload = shape.serialization["payload"]
        return Response(
            200, [("Content-Type", "text/xml")], xml(shape.members[payload], output[payload], payload).encode()
        )
    body: Any = {} if shape is None else _encode_structure(shape, output, f"{service}.{operation}")
    if shape is None and output:
        raise ContractError(f"{service}.{operation} has no output, the fake gave {sorted(output)}")
    if shape is not None and "payload" in shape.serialization:
        body = body.get(shape.serialization["payload"], {})
    return Response(200, _headers(model), json.dumps(body).encode())


def xml(shape: Shape, value: Any, tag: str) -> str:
    """A value as an XML element, as the query, ec2 and rest-xml protocols write it."""
    if isinstance(shape, StructureShape):
        inner = xml_members(shape, value)
    elif isinstance(shape, ListShape):
        inner = "".join(xml(shape.member, item, shape.member.serialization.get("name", "member")) for item in value)
    elif isinstance(value, bool):
        inner = str(value).lower()
    elif isinstance(value, datetime):
        inner = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        inner = escape(str(value))
    return f"<{tag}>{inner}</{tag}>"


def xml_members(shape: StructureShape, value: dict[str, Any]) -> str:
    """The members of a structure, one element after the other."""
    return "".join(
        xml(shape.members[name], item, shape.members[name].serialization.get("name", name))
        for name, item in value.items()
    )


def _headers(model: ServiceModel) -> list[tuple[str, str]]:
    if model.metadata["protocol"] == "json":
        return [("Content-Type", f"application/x-amz-json-{model.metadata['jsonVersion']}")]
    return [("Content-Type", "application/json")]


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
}


def _encode_structure(shape: StructureShape, value: Any, where: str) -> Any:
    if shape.is_document_type:
        return value
    if not isinstance(value, dict):
        raise ContractError(f"{where} must be a structure, is {type(value).__name__}")
    unknown = value.keys() - shape.members.keys()
    if unknown:
        raise ContractError(f"{where} has no member {sorted(unknown)}")
    missing = set(shape.required_members) - value.keys()
    if missing:
        raise ContractError(f"{where} lacks its required {sorted(missing)}")
    encoded = {}
    for name, item in value.items():
        member = shape.members[name]
        if member.serialization.get("location"):
            raise ContractError(f"{where}.{name} travels outside the body, which no fake here needs")
        encoded[member.serialization.get("name", name)] = _encode_value(member, item, f"{where}.{name}")
    return encoded


def _encode_value(shape: Shape, value: Any, where: str) -> Any:
    if isinstance(shape, StructureShape):
        return _encode_structure(shape, value, where)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise ContractError(f"{where} must be a list, is {type(value).__name__}")
        return [_encode_value(shape.member, item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise ContractError(f"{where} must be a map, is {type(value).__name__}")
        return {key: _encode_value(shape.value, item, f"{where}[{key}]") for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _encode_timestamp(shape, value, where)
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    if not isinstance(value, _TYPES[shape.type_name]) or (isinstance(value, bool) != (shape.type_name == "boolean")):
        raise ContractError(f"{where} must be {shape.type_name}, is {type(value).__name__}")
    allowed = getattr(shape, "enum", [])
    if allowed and value not in allowed:
        raise ContractError(f"{where} must be one of {allowed}, is {value!r}")
    return value


def _encode_timestamp(shape: Shape, value: Any, where: str) -> Any:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ContractError(f"{where} must be a datetime with its time zone, is {value!r}")
    if shape.serialization.get("timestampFormat") == "iso8601":
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.timestamp()


# --- errors and faults --------------------------------------------------------------------------------------


def error(service: str, code: str, message: str, status: int) -> Response:
    """An error answer in the protocol of any service."""
    model = service_model(service)
    protocol = model.metadata["protocol"]
    request_id = "00000000-0000-4000-8000-000000000000"
    if protocol in ("json", "rest-json"):
        headers = [*_headers(model), ("x-amzn-ErrorType", code), ("x-amzn-RequestId", request_id)]
        return Response(status, headers, json.dumps({"__type": code, "message": message}).encode())
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol == "ec2":
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    elif protocol == "query":
        text = (
            f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        text = f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
    return Response(status, [("Content-Type", "text/xml")], text.encode())


def error_code(response: Response) -> str:
    """The code of an error answer, in whichever protocol; the HTTP status if it names none."""
    named = re.search(rb'(?:<Code>|"__type": ?")(?:[^"<]*#)?([\w.]+)', response.body)
    return named[1].decode() if named else str(response.status)


def denied(service: str, action: str, principal: str) -> Response:
    """AWS's refusal of an action the caller's policies do not allow."""
    message = (
        f"User: {principal} is not authorized to perform: {action} because no identity-based policy allows the action"
    )
    protocol = service_model(service).metadata["protocol"]
    if protocol == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
        return error(service, "UnauthorizedOperation", message, 403)
    if protocol in ("json", "rest-json"):
        return error(service, "AccessDeniedException", message, 400 if protocol == "json" else 403)
    return error(service, "AccessDenied", message, 403)


def without_lists(service: str, operation: str, body: bytes) -> bytes:
    """A well-formed answer that lost its list members: what a client sees of an answer cut short (HTTP 200)."""
    model: OperationModel = service_model(service).operation_model(operation)
    shape = model.output_shape
    if shape is None:
        return body
    lists = {
        member.serialization.get("name", name): member
        for name, member in shape.members.items()
        if member.type_name == "list"
    }
    if body.lstrip()[:1] == b"{":
        members = json.loads(body)
        return json.dumps({name: value for name, value in members.items() if name not in lists}).encode()
    root = ElementTree.fromstring(body)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in lists and parent in (root, *root):
                parent.remove(child)
    return ElementTree.tostring(root)
