"""What one HTTP request asks of AWS: service, operation, who asks, from where."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from moto.iam.models import get_account_id_from

from windrose_lab.aws_answer import AwsError
from windrose_lab.rest_operations import rest_operation

Environ = dict[str, Any]

CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]*)/([^/]*)/aws4_request")
TARGET_SERVICES = {
    "redshiftdata": "redshift-data",
    "redshiftserverless": "redshift-serverless",
    "awsglue": "glue",
    "logs_20140328": "logs",
    "awsstepfunctions": "states",
    "amazonathena": "athena",
    "amazonssm": "ssm",
}


@dataclass
class AwsRequest:
    """A parsed request. `body` is complete; `environ` can still be given to moto."""

    environ: Environ
    body: bytes
    service: str
    operation: str
    region: str
    access_key: str
    account: str

    @property
    def method(self) -> str:
        return str(self.environ.get("REQUEST_METHOD", "GET"))

    @property
    def path(self) -> str:
        return str(self.environ.get("PATH_INFO", "/"))

    @property
    def query(self) -> str:
        return str(self.environ.get("QUERY_STRING", ""))

    @property
    def user_agent(self) -> str:
        return str(self.environ.get("HTTP_USER_AGENT", ""))

    def document(self) -> dict[str, Any]:
        """The JSON body as an object, or the error AWS gives for anything else."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise AwsError("SerializationException", "The request body is not JSON.") from None
        if not isinstance(value, dict):
            raise AwsError("SerializationException", "The request body must be a JSON object.")
        return value

    def form(self) -> dict[str, str]:
        """The fields of a query-protocol body (IAM, STS, Redshift clusters)."""
        text = self.body.decode("utf-8", "replace") or self.query
        return {key: values[0] for key, values in parse_qs(text, keep_blank_values=True).items()}

    def bucket_and_key(self) -> tuple[str, str]:
        """The S3 bucket and key of a path-style address; both empty for ListBuckets."""
        bucket, _, key = self.path.lstrip("/").partition("/")
        return bucket, key


def read_body(environ: Environ) -> bytes:
    """Takes the whole body and puts a fresh copy in its place, so that moto can read it again."""
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = stream.read(int(length))
    elif environ.get("wsgi.input_terminated"):
        body = stream.read()
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["CONTENT_LENGTH"] = str(len(body))
    else:
        body = b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def parse(environ: Environ) -> AwsRequest:
    """Reads service, region and key from the signature's scope, the operation from target, form or path."""
    body = read_body(environ)
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    presigned = "Credential=" + query.get("X-Amz-Credential", [""])[0]
    found = CREDENTIAL.search(str(environ.get("HTTP_AUTHORIZATION", ""))) or CREDENTIAL.search(presigned)
    access_key, region, service = found.groups() if found else ("", "us-east-1", "")
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    prefix, _, operation = target.rpartition(".")
    if not service and prefix:
        service = TARGET_SERVICES.get(prefix.lower(), prefix.lower())
    request = AwsRequest(environ, body, service.lower() or "s3", operation, region, access_key, "")
    request.account = get_account_id_from(access_key)
    if not operation:
        request.operation = _operation_without_target(request, query)
    return request


def _operation_without_target(request: AwsRequest, query: dict[str, list[str]]) -> str:
    content_type = str(request.environ.get("CONTENT_TYPE", ""))
    if content_type.startswith("application/x-www-form-urlencoded") or "Action" in query:
        action = request.form().get("Action", "")
        if action:
            return action
    return rest_operation(request.service, request.method, request.path, request.query, request.environ)
