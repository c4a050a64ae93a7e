"""Puts the seed folder into the lab: buckets, roles, secrets, the crawler, the warehouse's tables."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from psycopg import sql

from windrose_lab import objects, redshift_sql
from windrose_lab.accounts import Accounts, Grant
from windrose_lab.postgres import Address

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TRANSFER_SQL = Path(__file__).with_name("transfer.sql")


class SeedError(ValueError):
    """The seed cannot be read; the message says what to change."""


@dataclass
class Seed:
    """The seed file as read. `region` and the accounts hold for everything in it."""

    folder: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Seed:
        file = folder / "seed.toml"
        try:
            document = tomllib.loads(file.read_text())
            seed = cls(folder, document)
            seed.region, seed.account, seed.redshift["user"], seed.redshift["password"], seed.redshift["database"]
        except OSError as problem:
            raise SeedError(f"The seed file {file} cannot be read ({problem.strerror}): give a folder with a seed.toml.") from None
        except tomllib.TOMLDecodeError as problem:
            raise SeedError(f"The seed file {file} is not TOML: {problem}.") from None
        except KeyError as problem:
            raise SeedError(f"The seed file {file} lacks the key {problem}.") from None
        return seed

    @property
    def region(self) -> str:
        return str(self.document["region"])

    @property
    def account(self) -> str:
        return str(self.document["accounts"]["main"])

    @property
    def accounts(self) -> dict[str, str]:
        return dict(self.document["accounts"])

    @property
    def redshift(self) -> dict[str, Any]:
        return dict(self.document["redshift"])

    def list(self, name: str) -> list[dict[str, Any]]:
        return list(self.document.get(name, []))

    def account_id(self, name: str) -> str:
        return self.accounts.get(name, name)


def role_arn(seed: Seed, role: dict[str, Any]) -> str:
    return f"arn:aws:iam::{seed.account_id(role.get('account', 'main'))}:role{role.get('path', '/')}{role['name']}"


def seed_aws(seed: Seed, accounts: Accounts, places: dict[str, str]) -> dict[str, str]:
    """Everything but the database; returns the secrets' ARNs by name. `places` are the `${…}` of the seed's texts."""
    from moto.glue.models import glue_backends
    from moto.iam.models import iam_backends

    for role in seed.list("roles"):
        backend = iam_backends[seed.account_id(role.get("account", "main"))]["aws"]
        backend.create_role(role["name"], json.dumps({"Version": "2012-10-17", "Statement": []}), role.get("path", "/"), None,
                            role.get("description", ""), [], "3600")
        if role.get("external_id"):
            accounts.require_external_id(role_arn(seed, role), role["external_id"])
    for bucket in seed.list("buckets"):
        objects.create_bucket(bucket["name"], seed.account_id(bucket.get("account", "main")), seed.region)
        if "allow" in bucket:
            accounts.grant(bucket["name"], [_grant(seed, entry) for entry in bucket["allow"]])
    for entry in seed.list("objects"):
        text = (seed.folder / entry["file"]).read_bytes()
        objects.write(entry["bucket"], entry["key"], text)
    glue = glue_backends[seed.account][seed.region]
    for database in seed.list("databases"):
        glue.create_database(database["name"], {"Name": database["name"]})
    for crawler in seed.list("crawlers"):
        targets = {"S3Targets": [{"Path": path} for path in crawler["paths"]]}
        glue.create_crawler(crawler["name"], crawler["role"], crawler["database"], "", targets, "", [], crawler.get("table_prefix", ""),
                            {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"},
                            {"RecrawlBehavior": "CRAWL_EVERYTHING"}, {"CrawlerLineageSettings": "DISABLE"}, "", "", {})
    _seed_clusters(seed)
    return _seed_secrets(seed, places)


def _seed_clusters(seed: Seed) -> None:
    """The clusters in moto too, so that they can be described, paused and resumed."""
    from moto.redshift.models import redshift_backends

    redshift = seed.redshift
    for name in redshift.get("clusters", []):
        redshift_backends[seed.account][seed.region].create_cluster(
            cluster_identifier=name, node_type="ra3.large", master_username=redshift["user"], master_user_password=redshift["password"],
            db_name=redshift["database"], cluster_type="single-node", cluster_security_groups=[], vpc_security_group_ids=[],
            cluster_subnet_group_name=None, availability_zone=f"{seed.region}a", preferred_maintenance_window="Mon:03:00-Mon:03:30",
            cluster_parameter_group_name="default.redshift-1.0", automated_snapshot_retention_period="1", port="5439",
            cluster_version="1.0", allow_version_upgrade=True, number_of_nodes="1", publicly_accessible=False, encrypted=False,
            region_name=seed.region,
        )


def _grant(seed: Seed, entry: dict[str, Any]) -> Grant:
    account = seed.account_id(entry["account"]) if "account" in entry else None
    return Grant(entry.get("role"), account, entry.get("access", "read") == "read-write")


def _seed_secrets(seed: Seed, places: dict[str, str]) -> dict[str, str]:
    from moto.secretsmanager.models import secretsmanager_backends

    backend = secretsmanager_backends[seed.account][seed.region]
    arns: dict[str, str] = {}
    known = dict(places)
    for secret in seed.list("secrets"):
        value = secret["value"]
        text = Template(value if isinstance(value, str) else json.dumps(value)).safe_substitute(known)
        answer = json.loads(backend.create_secret(secret["name"], text, None, None, [], None, None, [], False))
        arns[secret["name"]] = answer["ARN"]
        if secret.get("as"):
            known[secret["as"]] = answer["ARN"]
    return arns


def seed_redshift(seed: Seed, address: Address, spool: Path) -> None:
    """The database, its user, the UNLOAD and COPY procedures, and the seed's SQL run as that user."""
    redshift = seed.redshift
    user, password, database = redshift["user"], redshift["password"], redshift["database"]
    with address.connect() as connection:
        statement = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {} IN ROLE pg_read_server_files, pg_write_server_files")
        connection.execute(statement.format(sql.Identifier(user), sql.Literal(password)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(user)))
    with address.connect(database) as connection:
        connection.execute(TRANSFER_SQL.read_text().replace("@SPOOL@", str(spool)))
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(user)))
    file = redshift.get("sql")
    if file:
        text = redshift_sql.rewrite((seed.folder / file).read_text())
        with address.connect(database, user, password) as connection:
            connection.execute(text)
