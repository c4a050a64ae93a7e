"""One lab for all tests; every test cleans up what others could notice (faults, holds, settings)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config

LAB = Path(__file__).resolve().parent.parent
DEADLINE = 60.0
PRODUCTS = (LAB / "seed" / "products.csv").read_bytes()
SOURCE, TARGET = "sample-inp-bucket-etl-demo", "sample-opt-bucket-etl-demo"


def start_lab(*options: str, **keywords: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(LAB)}
    command = [sys.executable, "-m", "windrose_lab", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **keywords)


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for an event that only polling can see; the bound only keeps a broken lab from hanging the tests."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen: {what}")


class Lab:
    """A running lab as a client sees it."""

    def __init__(self, endpoints: dict[str, Any]) -> None:
        self.endpoints = endpoints
        self.url = endpoints["aws_endpoint_url"]
        self.roles: dict[str, str] = endpoints["roles"]
        self._clients: dict[Any, Any] = {}

    def client(self, service: str, keys: tuple[str, ...] | None = None) -> Any:
        chosen = keys or (self.endpoints["access_key_id"], self.endpoints["secret_access_key"])
        if (service, chosen) not in self._clients:
            session = boto3.Session(*chosen, region_name="us-east-1")
            config = Config(retries={"total_max_attempts": 1})
            self._clients[service, chosen] = session.client(service, endpoint_url=self.url, config=config)
        return self._clients[service, chosen]

    def assume(self, role: str, **options: str) -> tuple[str, str, str]:
        given = self.client("sts").assume_role(RoleArn=self.roles.get(role, role), RoleSessionName="test", **options)["Credentials"]
        return given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]

    def granted_s3(self) -> Any:
        return self.client("s3", self.assume("etl-demo-s3-access"))

    def page(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/lab{path}", data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        return self.page("GET", f"/journal?since={since}")["entries"]

    def sql(self) -> psycopg.Connection:
        place = self.endpoints["redshift"]
        return psycopg.connect(
            host=place["host"], port=place["port"], user=place["user"], password=place["password"], dbname=place["database"], autocommit=True
        )


@pytest.fixture(scope="session")
def running() -> Iterator[Lab]:
    process = start_lab("--exit-with-parent")
    assert process.stdout is not None
    yield Lab(json.loads(process.stdout.readline()))
    process.terminate()
    assert process.wait(DEADLINE) == 0


@pytest.fixture
def lab(running: Lab) -> Iterator[Lab]:
    yield running
    running.page("DELETE", "/faults")
    running.page("DELETE", "/hold")
    running.page("POST", "/settings", {"glue_start_seconds": 0.1, "glue_minute_seconds": 60, "crawler_seconds": 0.1, "crawler_start_lag": 0})


@pytest.fixture
def day_file(lab: Lab) -> Iterator[str]:
    """The day's CSV in the source bucket; target and catalogue are as before."""
    key = "products/year=2026/month=01/day=02/products.csv"
    granted = lab.granted_s3()
    granted.put_object(Bucket=SOURCE, Key=key, Body=PRODUCTS)
    yield key
    granted.delete_object(Bucket=SOURCE, Key=key)


@pytest.fixture
def target(lab: Lab) -> Iterator[str]:
    """The target bucket, empty again after the test."""
    yield TARGET
    granted = lab.granted_s3()
    for found in granted.list_objects_v2(Bucket=TARGET).get("Contents", []):
        granted.delete_object(Bucket=TARGET, Key=found["Key"])
