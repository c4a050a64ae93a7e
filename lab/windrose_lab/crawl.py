"""What one crawl finds: CSV objects in S3 turned into table and partition descriptions. Pure but for the reads."""

from __future__ import annotations

import csv
import fnmatch
import io
import re
from dataclasses import dataclass, field
from typing import Any

from windrose_lab import objects
from windrose_lab.accounts import Accounts, Principal

PARTITION_FOLDER = re.compile(r"^[^=/]+=[^=/]*$")
SAMPLE_ROWS = 1_000
CSV_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
CSV_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
CSV_SERDE = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"


class CrawlFailed(Exception):
    """The crawl ends as FAILED; the text becomes LastCrawl.ErrorMessage."""


@dataclass
class FoundTable:
    """A folder of CSV files: columns in order of appearance, partitions by their values."""

    name: str
    bucket: str
    root: str
    partition_keys: list[str]
    columns: dict[str, str] = field(default_factory=dict)
    partitions: dict[tuple[str, ...], str] = field(default_factory=dict)
    records: int = 0
    files: int = 0
    size: int = 0
    has_header: bool = True

    def storage(self, location: str) -> dict[str, Any]:
        return {
            "Columns": [{"Name": name, "Type": kind} for name, kind in self.columns.items()],
            "Location": f"s3://{self.bucket}/{location}",
            "InputFormat": CSV_INPUT,
            "OutputFormat": CSV_OUTPUT,
            "Compressed": False,
            "NumberOfBuckets": -1,
            "SerdeInfo": {"SerializationLibrary": CSV_SERDE, "Parameters": {"field.delim": ","}},
            "StoredAsSubDirectories": False,
        }

    def table_input(self, crawler: str) -> dict[str, Any]:
        average = self.size // self.records if self.records else 0
        parameters = {
            "classification": "csv", "columnsOrdered": "true", "areColumnsQuoted": "false", "delimiter": ",", "typeOfData": "file",
            "compressionType": "none", "UPDATED_BY_CRAWLER": crawler, "recordCount": str(self.records), "objectCount": str(self.files),
            "sizeKey": str(self.size), "averageRecordSize": str(average),
        }
        if self.has_header:
            parameters["skip.header.line.count"] = "1"
        return {
            "Name": self.name,
            "Owner": "owner",
            "Retention": 0,
            "StorageDescriptor": self.storage(self.root),
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in self.partition_keys],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
        }

    def partition_inputs(self) -> list[dict[str, Any]]:
        return [{"Values": list(values), "StorageDescriptor": self.storage(place)} for values, place in self.partitions.items()]


def crawl(targets: dict[str, Any], table_prefix: str, principal: Principal, accounts: Accounts) -> list[FoundTable]:
    """Reads every S3 target as the crawler's role."""
    tables: dict[tuple[str, str], FoundTable] = {}
    for kind, given in targets.items():
        if kind != "S3Targets" and given:
            raise CrawlFailed(f"The lab's crawlers do not support {kind} yet; use S3Targets.")
    for target in targets.get("S3Targets") or []:
        _crawl_target(target, table_prefix, principal, accounts, tables)
    return list(tables.values())


def _crawl_target(
    target: dict[str, Any], table_prefix: str, principal: Principal, accounts: Accounts, tables: dict[tuple[str, str], FoundTable]
) -> None:
    url = str(target.get("Path", ""))
    try:
        bucket, prefix = objects.split_url(url)
    except ValueError:
        raise CrawlFailed(f"The S3 path {url!r} is not valid; use s3://bucket/prefix.") from None
    if objects.owner_of(bucket) is None:
        raise CrawlFailed(f"The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; {url})")
    if not accounts.allows(principal, bucket, write=False):
        raise CrawlFailed(f"Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied; {url} as {principal.arn})")
    prefix = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    for found in objects.list_objects(bucket, prefix):
        relative = found.key[len(prefix) :]
        excluded = any(fnmatch.fnmatch(relative, pattern) for pattern in target.get("Exclusions") or [])
        if found.size and not excluded and not found.key.endswith("/"):
            _add_file(bucket, found, table_prefix, tables)


def _add_file(bucket: str, found: objects.StoredObject, table_prefix: str, tables: dict[tuple[str, str], FoundTable]) -> None:
    folders = found.key.split("/")[:-1]
    first = next((n for n, folder in enumerate(folders) if PARTITION_FOLDER.match(folder)), len(folders))
    root = "/".join(folders[:first]) + ("/" if first else "")
    pairs = [folder.split("=", 1) for folder in folders[first:] if PARTITION_FOLDER.match(folder)]
    table = tables.get((bucket, root))
    if table is None:
        name = table_prefix + re.sub(r"[^a-z0-9_]", "_", (folders[first - 1] if first else bucket).lower())
        table = tables[bucket, root] = FoundTable(name, bucket, root, [key.lower() for key, _ in pairs])
    columns, rows, header = read_csv(objects.read(bucket, found.key))
    for column, kind in columns.items():
        table.columns[column] = widest(table.columns.get(column), kind)
    table.records += rows
    table.files += 1
    table.size += found.size
    table.has_header = header
    if pairs:
        table.partitions[tuple(value for _, value in pairs)] = "/".join(folders) + "/"


def read_csv(data: bytes) -> tuple[dict[str, str], int, bool]:
    """Columns with Glue's types, the number of rows, and whether the first line names the columns."""
    rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8", "replace"))) if row]
    if not rows:
        return {}, 0, False
    header = all(cell.strip() and cell_type(cell) == "string" for cell in rows[0])
    body = rows[1:] if header else rows
    columns: dict[str, str] = {}
    for position, title in enumerate(rows[0]):
        name = re.sub(r"\s+", "_", title.strip().lower()) if header else f"col{position}"
        kind: str | None = None
        for row in body[:SAMPLE_ROWS]:
            if position < len(row) and row[position] != "":
                kind = widest(kind, cell_type(row[position]))
        columns[name] = kind or "string"
    return columns, len(body), header


def cell_type(cell: str) -> str:
    text = cell.strip()
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        return "bigint"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return "double"
    return "string"


def widest(one: str | None, other: str) -> str:
    order = ("bigint", "double", "string")
    return other if one is None else max(one, other, key=order.index)
