"""Puts the lab's parts together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from windrose_lab.accounts import Accounts
from windrose_lab.app import LabApplication, Moto
from windrose_lab.faults import Faults
from windrose_lab.glue_crawler import Crawlers
from windrose_lab.glue_job import Jobs
from windrose_lab.holds import Holds
from windrose_lab.job_process import JobProcesses
from windrose_lab.journal import Journal
from windrose_lab.lab_api import LabPages, Settings
from windrose_lab.lab_sql import SqlPage
from windrose_lab.postgres import Postgres
from windrose_lab.redshift_data import DataApi
from windrose_lab.redshift_users import Login, RedshiftUsers
from windrose_lab.redshift_wire import WireProxy
from windrose_lab.seed import Seed, role_arn, seed_aws, seed_redshift
from windrose_lab.transfer_service import TransferService

ACCESS_KEY, SECRET_KEY = "AKIALABWORKER0000001", "lab-worker-secret-key-not-real"


@dataclass
class Wired:
    server: BaseWSGIServer
    jobs: Jobs
    endpoints: dict[str, Any]


class QuietHandler(MotoRequestHandler):
    """Without a line per request on stderr: the journal has them."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class LateApplication:
    """Stands for the application until the port is known, which the application itself has to know."""

    def __init__(self) -> None:
        self.target: LabApplication | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        while self.target is None:
            time.sleep(0.01)
        return self.target(environ, start_response)


def wire(seed: Seed, postgres: Postgres, folder: Path, port: int) -> Wired:
    """Everything up to a server that can take requests; seeds it."""
    late = LateApplication()
    server = make_server("127.0.0.1", port, late, threaded=True, request_handler=QuietHandler)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    journal, faults, holds, settings, accounts, moto = Journal(), Faults(), Holds(), Settings(), Accounts(), Moto()
    redshift = seed.redshift
    users = RedshiftUsers(postgres.address, redshift["user"], redshift.get("workgroups", []), redshift.get("clusters", []))
    jobs = Jobs(JobProcesses(folder / "jobs", endpoint, accounts), holds, settings)
    proxy = WireProxy(postgres.address, journal)
    proxy.start()
    places = {
        "aws_endpoint": endpoint, "region": seed.region, "redshift_host": "127.0.0.1", "redshift_port": str(proxy.port),
        "redshift_user": redshift["user"], "redshift_password": redshift["password"], "redshift_database": redshift["database"],
        "access_key": ACCESS_KEY, "secret_key": SECRET_KEY,
        **{f"role_{role['name'].replace('-', '_')}": role_arn(seed, role) for role in seed.list("roles")},
    }
    secrets = seed_aws(seed, accounts, places)
    postgres.wait()
    TransferService(postgres, accounts, redshift.get("default_role"))
    seed_redshift(seed, postgres.address, postgres.spool)
    endpoints = describe(seed, endpoint, proxy.port, secrets)
    sql = SqlPage(postgres.address, Login(redshift["user"], redshift["password"]), redshift["database"])
    app = LabApplication(journal, faults, accounts, moto, LabPages(journal, faults, holds, settings, sql, endpoints))
    app.serve("glue", Crawlers(moto, accounts, holds, settings).operations() | jobs.operations())
    app.serve("redshift-data", DataApi(postgres.address, users, holds, journal).operations(), closed=True)
    app.serve("redshift-serverless", users.serverless_operations(), closed=True)
    app.serve("redshift", users.cluster_operations())
    late.target = app
    return Wired(server, jobs, endpoints)


def describe(seed: Seed, endpoint: str, wire_port: int, secrets: dict[str, str]) -> dict[str, Any]:
    """The ready line: all a client needs to know."""
    redshift = seed.redshift
    return {
        "aws_endpoint_url": endpoint,
        "region": seed.region,
        "access_key_id": ACCESS_KEY,
        "secret_access_key": SECRET_KEY,
        "accounts": seed.accounts,
        "redshift": {
            "host": "127.0.0.1",
            "port": wire_port,
            "user": redshift["user"],
            "password": redshift["password"],
            "database": redshift["database"],
            "workgroups": redshift.get("workgroups", []),
            "clusters": redshift.get("clusters", []),
        },
        "buckets": {bucket["name"]: seed.account_id(bucket.get("account", "main")) for bucket in seed.list("buckets")},
        "roles": {role["name"]: role_arn(seed, role) for role in seed.list("roles")},
        "secrets": secrets,
        "lab_url": f"{endpoint}/lab",
    }
