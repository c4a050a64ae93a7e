"""The operation behind a REST request (S3, Lambda, Batch …), found in the service models botocore ships."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

SIGNING_NAME_TO_MODEL = {"s3": "s3", "lambda": "lambda", "batch": "batch", "eks": "eks", "emr-serverless": "emr-serverless"}


@dataclass(frozen=True)
class Route:
    """One operation's method, path pattern and the query keys that tell it from its neighbours."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: frozenset[tuple[str, str]]
    literal: int


@functools.cache
def routes(service: str) -> list[Route]:
    """All routes of a service, the most particular first."""
    model_name = SIGNING_NAME_TO_MODEL.get(service)
    if model_name is None:
        return []
    import botocore.loaders

    model: dict[str, Any] = botocore.loaders.Loader().load_service_model(model_name, "service-2")
    found = []
    for name, operation in model["operations"].items():
        http = operation["http"]
        path, _, query = http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{[^}]*\+\\\}", ".+", re.escape(path))
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", pattern)
        pairs = frozenset(parse_qsl(query, keep_blank_values=True))
        compiled = re.compile(pattern.rstrip("/") + "/?$")
        found.append(Route(name, http["method"], compiled, pairs, len(re.sub(r"\{[^}]*\}", "", path))))
    # x-id is a hint some SDKs add, not part of the address.
    return sorted(found, key=lambda route: (-len(route.query), -route.literal))


def rest_operation(service: str, method: str, path: str, query: str, environ: dict[str, Any]) -> str:
    """The operation's name, or the method where no model knows the request."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if service == "s3":
        return _s3_operation(method, path, given, environ)
    for route in routes(service):
        if route.method == method and route.path.match(path) and all(given.get(k) == v for k, v in route.query):
            return route.operation
    return method


S3_OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject", "POST": "PostObject"}
S3_BUCKET = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "PostObject"}
S3_SUBRESOURCES = {
    "acl": "Acl", "tagging": "Tagging", "policy": "Policy", "versioning": "Versioning", "location": "Location",
    "lifecycle": "LifecycleConfiguration", "cors": "Cors", "encryption": "Encryption", "notification": "NotificationConfiguration",
}
S3_VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete"}


def _s3_operation(method: str, path: str, given: dict[str, str], environ: dict[str, Any]) -> str:
    """S3's operations differ by query keys and headers in ways its model does not spell out, so they are named here."""
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    for subresource, suffix in S3_SUBRESOURCES.items():
        if subresource in given and method in S3_VERBS:
            return f"{S3_VERBS[method]}{'Object' if key else 'Bucket'}{suffix}"
    if not key:
        if given.get("list-type") == "2":
            return "ListObjectsV2"
        special = {("GET", "versions"): "ListObjectVersions", ("GET", "uploads"): "ListMultipartUploads", ("POST", "delete"): "DeleteObjects"}
        return next((name for (verb, word), name in special.items() if verb == method and word in given), S3_BUCKET.get(method, method))
    if "uploads" in given and method == "POST":
        return "CreateMultipartUpload"
    if "uploadId" in given:
        copy = "UploadPartCopy" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "UploadPart"
        return {"PUT": copy, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload", "GET": "ListParts"}.get(method, method)
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    return S3_OBJECT.get(method, method)
