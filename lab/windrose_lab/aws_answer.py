"""How an AWS service answers: JSON bodies, and errors in the shape each protocol's clients can read."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

JSON_CONTENT_TYPE = "application/x-amz-json-1.1"
XML_ERROR_SERVICES = {"sts", "iam", "sns", "redshift", "ec2", "elasticmapreduce-query", "cloudformation"}
REST_JSON_SERVICES = {"lambda", "batch", "eks", "emr-serverless"}


class AwsError(Exception):
    """An error answer of an AWS operation; `code` is the name SDKs match on."""

    def __init__(self, code: str, message: str, status: int = 400, members: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


@dataclass
class Answer:
    """An HTTP answer before it becomes WSGI."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)

    def header(self, name: str) -> str:
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return ""


def json_answer(document: Any, status: int = 200, content_type: str = JSON_CONTENT_TYPE) -> Answer:
    """A JSON answer; times must already be epoch seconds."""
    body = json.dumps(document, default=str).encode()
    return Answer(status, body, [("Content-Type", content_type), ("x-amzn-RequestId", str(uuid.uuid4()))])


def error_answer(service: str, method: str, error: AwsError) -> Answer:
    """The error in the words of the service's protocol (S3 and query services speak XML, the others JSON)."""
    request_id = str(uuid.uuid4())
    if service == "s3":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        ).encode()
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id)]
        return Answer(error.status, b"" if method == "HEAD" else body, headers)
    if service in XML_ERROR_SERVICES:
        fault = "Receiver" if error.status >= 500 else "Sender"
        body = (
            f"<ErrorResponse><Error><Type>{fault}</Type><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        ).encode()
        return Answer(error.status, body, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)])
    document = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
    answer = json_answer(document, error.status)
    if service in REST_JSON_SERVICES:
        answer.headers.append(("x-amzn-ErrorType", error.code))
    return answer
