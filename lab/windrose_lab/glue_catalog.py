"""moto's Glue data catalogue, and the fields of crawlers and jobs that moto cannot change itself."""

from __future__ import annotations

import re
from typing import Any

from moto.core.utils import utcnow
from moto.glue.models import glue_backends

from windrose_lab.aws_answer import AwsError


def backend(account: str, region: str):  # noqa: ANN201 - moto's own type
    return glue_backends[account][region]


def crawler(account: str, region: str, name: str):  # noqa: ANN201 - moto's own type
    found = backend(account, region).crawlers.get(name)
    if found is None:
        raise AwsError("EntityNotFoundException", f"Crawler with name {name} does not exist")
    return found


def job(account: str, region: str, name: str):  # noqa: ANN201 - moto's own type
    found = backend(account, region).jobs.get(name)
    if found is None:
        raise AwsError("EntityNotFoundException", f"Entity Not Found: Job with name: {name} not found.")
    return found


def snake(name: str) -> str:
    """moto keeps AWS's `DatabaseName` as `database_name`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def set_fields(model: Any, given: dict[str, Any]) -> None:
    """Puts API parameters onto a moto model; an unknown one is the client's error, never silence."""
    for name, value in given.items():
        attribute = snake(name)
        if not hasattr(model, attribute):
            raise AwsError("InvalidInputException", f"The lab does not support the parameter {name} here yet.")
        setattr(model, attribute, value)


def save_table(account: str, region: str, database: str, table: dict[str, Any]) -> bool:
    """Creates or updates a table; True if it is new."""
    glue = backend(account, region)
    tables = glue.get_database(database).tables
    if table["Name"] in tables:
        tables[table["Name"]].update(table)
        return False
    glue.create_table(database, table["Name"], table)
    return True


def save_partition(account: str, region: str, database: str, table: str, partition: dict[str, Any]) -> bool:
    """Creates or replaces a partition; True if it is new."""
    found = backend(account, region).get_table(database, table)
    if str(partition["Values"]) in found.partitions:
        found.update_partition(partition["Values"], partition)
        return False
    found.create_partition(partition)
    return True


def touch_crawler(model: Any) -> None:
    model.version += 1
    model.last_updated = utcnow()
