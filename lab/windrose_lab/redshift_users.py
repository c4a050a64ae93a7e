"""Database users: who a Data API call or temporary credentials act as. The users can really connect."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from xml.sax.saxutils import escape

import psycopg
from psycopg import sql

from windrose_lab.accounts import principal_of_key
from windrose_lab.app import Operation
from windrose_lab.aws_answer import Answer, AwsError
from windrose_lab.aws_request import AwsRequest
from windrose_lab.postgres import Address


@dataclass(frozen=True)
class Login:
    user: str
    password: str


class RedshiftUsers:
    """Makes users with passwords that end. All are members of `owner_role`, so they see the same tables."""

    def __init__(self, address: Address, owner_role: str, workgroups: Iterable[str], clusters: Iterable[str]) -> None:
        self._address = address
        self._owner_role = owner_role
        self._lock = threading.Lock()
        self._temporary: dict[str, tuple[Login, float]] = {}
        self.workgroups = set(workgroups)
        self.clusters = set(clusters)

    def serverless_operations(self) -> dict[str, Operation]:
        return {"GetCredentials": self.get_credentials}

    def cluster_operations(self) -> dict[str, Operation]:
        return {"GetClusterCredentials": self.get_cluster_credentials}

    def has_cluster(self, request: AwsRequest, name: str) -> bool:
        """Clusters come from the seed or were made by CreateCluster."""
        from moto.redshift.models import redshift_backends

        return name in self.clusters or name in redshift_backends[request.account][request.region].clusters

    def temporary(self, user: str, seconds: int) -> tuple[Login, float]:
        """A user and password good for that long, and the end in epoch seconds; asked again they stay the same."""
        with self._lock:
            known = self._temporary.get(user)
            if known and known[1] - time.time() > 60:
                return known
            login, ends = Login(user, secrets.token_urlsafe(24)), time.time() + seconds
            until = datetime.fromtimestamp(ends, timezone.utc).isoformat()
            with self._address.connect() as connection:
                exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (user,)).fetchone()
                verb = sql.SQL("ALTER" if exists else "CREATE")
                parts = (verb, sql.Identifier(user), sql.Literal(login.password), sql.Literal(until))
                connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {} VALID UNTIL {}").format(*parts))
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(self._owner_role), sql.Identifier(user)))
            self._temporary[user] = (login, ends)
            return login, ends

    @staticmethod
    def iam_user(request: AwsRequest) -> str:
        """The database user Redshift Serverless makes of an IAM identity."""
        principal = principal_of_key(request.access_key)
        return f"IAMR:{principal.role_arn.rsplit('/', 1)[-1]}" if principal.role_arn else "IAM:RootIdentity"

    def get_credentials(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        workgroup = str(given.get("workgroupName", ""))
        if workgroup not in self.workgroups:
            raise AwsError("ResourceNotFoundException", f"Workgroup {workgroup} does not exist.")
        seconds = given.get("durationSeconds") or 900
        if not 900 <= int(seconds) <= 3600:
            raise AwsError("ValidationException", "durationSeconds must be between 900 and 3600.")
        login, ends = self.temporary(self.iam_user(request), int(seconds))
        return {"dbUser": login.user, "dbPassword": login.password, "expiration": ends, "nextRefreshTime": ends - 60}

    def get_cluster_credentials(self, request: AwsRequest) -> Answer:
        """The user's name is prefixed, as Redshift does, so an existing user keeps its own password."""
        form = request.form()
        cluster, user = form.get("ClusterIdentifier", ""), form.get("DbUser", "")
        if not self.has_cluster(request, cluster):
            raise AwsError("ClusterNotFound", f"Cluster {cluster} not found.", 404)
        if not user:
            raise AwsError("InvalidParameterValue", "DbUser is required.")
        create = form.get("AutoCreate", "false").lower() == "true"
        login, ends = self.temporary(f"{'IAMA' if create else 'IAM'}:{user}", int(form.get("DurationSeconds") or 900))
        until = datetime.fromtimestamp(ends, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        members = {"DbUser": login.user, "DbPassword": login.password, "Expiration": until}
        result = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
        body = (
            '<GetClusterCredentialsResponse xmlns="http://redshift.amazonaws.com/doc/2012-12-01/"><GetClusterCredentialsResult>'
            f"{result}</GetClusterCredentialsResult></GetClusterCredentialsResponse>"
        )
        return Answer(200, body.encode(), [("Content-Type", "text/xml")])


def secret_login(account: str, region: str, secret_id: str) -> Login:
    """User and password of a secret in Redshift's JSON form."""
    from moto.secretsmanager.models import secretsmanager_backends

    try:
        found = secretsmanager_backends[account][region].get_secret_value(secret_id, "", "")
    except Exception:
        raise AwsError("ValidationException", f"Secrets Manager can't find the specified secret: {secret_id}") from None
    try:
        value = json.loads(found.get("SecretString") or "")
        return Login(str(value["username"]), str(value["password"]))
    except (ValueError, KeyError, TypeError):
        raise AwsError("ValidationException", f"The secret {secret_id} must be JSON with username and password.") from None


def connect(address: Address, login: Login, database: str) -> psycopg.Connection:
    """A connection as that user, in autocommit mode."""
    return address.connect(database, login.user, login.password)
