"""Who calls, and which bucket answers them: the cross-account half of S3 that moto leaves open."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from moto.iam.models import get_account_id_from, iam_backends

from windrose_lab import objects
from windrose_lab.aws_answer import AwsError
from windrose_lab.aws_request import AwsRequest

ROLE_ARN = re.compile(r"^arn:aws:iam::(\d{12}):role/(.+)$")
S3_READS = {"GET", "HEAD"}


@dataclass(frozen=True)
class Principal:
    """An identity: an account, and the role it acts in if it has assumed one."""

    account: str
    role_arn: str | None = None

    @property
    def arn(self) -> str:
        return self.role_arn or f"arn:aws:iam::{self.account}:root"


@dataclass(frozen=True)
class Grant:
    """What a bucket's policy allows: one role, or every identity of an account, to read or also to write."""

    role: str | None
    account: str | None
    write: bool

    def covers(self, principal: Principal, write: bool) -> bool:
        named = (self.role is not None and self.role == principal.role_arn) or (
            self.account is not None and self.account == principal.account and principal.role_arn is None
        )
        return named and (self.write or not write)


def role_principal(arn: str) -> Principal:
    found = ROLE_ARN.match(arn)
    if not found:
        raise ValueError(f"{arn!r} is not the ARN of a role")
    return Principal(found.group(1), arn)


def principal_of_key(access_key: str) -> Principal:
    """The identity behind an access key; an unknown key belongs to the main account, as in moto."""
    account = get_account_id_from(access_key)
    key = iam_backends[account]["aws"].access_keys.get(access_key)
    role = getattr(key, "role_arn", None) if key else None
    return Principal(account, role)


def role_exists(arn: str) -> bool:
    found = ROLE_ARN.match(arn)
    if not found:
        return False
    return any(role.arn == arn for role in iam_backends[found.group(1)]["aws"].get_roles())


def role_arn_of(role: str, account: str) -> str | None:
    """The ARN of a role given by name, by path and name, or by ARN; None if there is no such role."""
    if role.startswith("arn:"):
        return role if role_exists(role) else None
    name = role.rsplit("/", 1)[-1]
    return next((found.arn for found in iam_backends[account]["aws"].get_roles() if found.name == name), None)


class Accounts:
    """Holds the grants per bucket and the external ids roles insist on."""

    def __init__(self) -> None:
        self._grants: dict[str, list[Grant]] = {}
        self._external_ids: dict[str, str] = {}

    def grant(self, bucket: str, grants: list[Grant]) -> None:
        self._grants[bucket] = grants

    def require_external_id(self, role_arn: str, external_id: str) -> None:
        self._external_ids[role_arn] = external_id

    def allows(self, principal: Principal, bucket: str, write: bool) -> bool:
        """Whether the bucket answers. A bucket that does not exist lets the call through, so that S3 can say so."""
        owner = objects.owner_of(bucket)
        if owner is None:
            return True
        grants = self._grants.get(bucket)
        if principal.account == owner and (principal.role_arn is None or grants is None):
            return True
        return any(grant.covers(principal, write) for grant in grants or [])

    def check(self, principal: Principal, bucket: str, write: bool) -> None:
        if not self.allows(principal, bucket, write):
            raise AwsError("AccessDenied", "Access Denied", 403)

    def check_request(self, request: AwsRequest) -> None:
        """Refuses S3 calls across accounts without a grant, and AssumeRole of roles that do not exist."""
        if request.service == "s3":
            self._check_s3(request)
        elif request.service == "sts" and request.operation == "AssumeRole":
            self._check_assume_role(request)

    def _check_s3(self, request: AwsRequest) -> None:
        bucket, _ = request.bucket_and_key()
        if not bucket or request.operation == "CreateBucket":
            return
        principal = principal_of_key(request.access_key)
        self.check(principal, bucket, request.method not in S3_READS)
        source = str(request.environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).lstrip("/")
        if source:
            self.check(principal, source.partition("/")[0], write=False)

    def _check_assume_role(self, request: AwsRequest) -> None:
        form = request.form()
        role = form.get("RoleArn", "")
        wanted = self._external_ids.get(role)
        if not role_exists(role) or (wanted is not None and form.get("ExternalId") != wanted):
            caller = principal_of_key(request.access_key)
            message = f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
            raise AwsError("AccessDenied", message, 403)

    def describe(self) -> dict[str, Any]:
        """The grants, for people: bucket to the identities it answers."""
        return {
            bucket: [{"principal": grant.role or grant.account, "access": "read-write" if grant.write else "read"} for grant in grants]
            for bucket, grants in self._grants.items()
        }
