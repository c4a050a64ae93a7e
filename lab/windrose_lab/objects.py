"""Objects in moto's S3, reached inside the process: what Redshift, crawlers and Glue read and write."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moto.s3.models import FakeDeleteMarker, s3_backends

from windrose_lab.aws_answer import AwsError

S3_URL = re.compile(r"^s3[na]?://([^/]+)/?(.*)$", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class StoredObject:
    key: str
    size: int


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of an `s3://` URL; ValueError for anything else."""
    found = S3_URL.match(url)
    if not found:
        raise ValueError(f"{url!r} is not an s3:// URL")
    return found.group(1), found.group(2)


def owner_of(bucket: str) -> str | None:
    """The account that owns the bucket, None if there is no such bucket."""
    entry = s3_backends.bucket_accounts.get(bucket)
    return entry[1] if entry else None


def _backend(bucket: str):  # noqa: ANN202 - moto's own type
    owner = owner_of(bucket)
    if owner is None:
        raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
    return s3_backends[owner]["aws"]


def list_objects(bucket: str, prefix: str) -> list[StoredObject]:
    """All objects whose key begins with the prefix, by key."""
    found = _backend(bucket).get_bucket(bucket)
    keys = [(name, found.keys[name]) for name in sorted(list(found.keys)) if name.startswith(prefix)]
    return [StoredObject(name, key.size) for name, key in keys if not isinstance(key, FakeDeleteMarker)]


def read(bucket: str, key: str) -> bytes:
    found = _backend(bucket).get_object(bucket, key)
    if found is None or isinstance(found, FakeDeleteMarker):
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    return bytes(found.value)


def write(bucket: str, key: str, data: bytes) -> None:
    _backend(bucket).put_object(bucket, key, data)


def delete(bucket: str, key: str) -> None:
    _backend(bucket).delete_object(bucket, key)


def create_bucket(bucket: str, account: str, region: str) -> None:
    s3_backends[account]["aws"].create_bucket(bucket, region)
