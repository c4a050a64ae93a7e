"""Checks the dependency arrows of ARCHITECTURE.md against `cargo metadata`."""

import json
import subprocess
import sys

# What each crate may depend on, of ours. testkit is for tests only.
ALLOWED = {
    "core": set(),
    "bundles": {"core"},
    "engine": {"core"},
    "store": {"core"},
    "operators": {"core", "bundles"},
    "scheduler": {"core", "bundles", "engine", "store"},
    "worker": {"core", "operators", "store"},
    "web": {"core", "store"},
    "cli": {"core", "bundles", "engine", "store", "operators", "scheduler", "worker", "web"},
    "testkit": {"core", "bundles", "engine", "store", "operators", "scheduler", "worker", "web"},
}
# What only some crates may name.
ONLY = {
    "sqlx": {"store", "operators", "testkit"},
    "axum": {"web"},
    "anyhow": {"cli"},
    "gix": {"bundles"},
}
# The pure crates stay free of I/O, clocks and randomness, also through others' crates.
PURE = {"core", "engine"}
IMPURE = {"tokio", "sqlx", "axum", "mio", "reqwest", "hyper"}


def main() -> int:
    text = subprocess.check_output(["cargo", "metadata", "--format-version=1", "--locked"])
    metadata = json.loads(text)
    packages = {p["id"]: p for p in metadata["packages"]}
    wrong = []
    for package in packages.values():
        name = package["name"].removeprefix("windrose-")
        if not package["name"].startswith("windrose-"):
            continue
        for dependency in package["dependencies"]:
            if dependency["kind"] == "dev":
                continue
            target = dependency["name"]
            if target.startswith("windrose-") and target.removeprefix("windrose-") not in ALLOWED[name]:
                wrong.append(f"{name} must not depend on {target}")
            if target in ONLY and name not in ONLY[target]:
                wrong.append(f"{name} must not name {target}")
            if target.startswith("aws-") and name != "operators":
                wrong.append(f"{name} must not name an AWS crate ({target})")

    nodes = {n["id"]: n for n in metadata["resolve"]["nodes"]}
    for identity, package in packages.items():
        name = package["name"].removeprefix("windrose-")
        if package["name"].startswith("windrose-") and name in PURE:
            for found in sorted(reached(identity, nodes, packages) & IMPURE):
                wrong.append(f"{name} is pure but reaches {found}")
    for line in wrong:
        print(f"arrows: {line}")
    if not wrong:
        print(f"arrows: {len(ALLOWED)} crates depend on each other as they should")
    return 1 if wrong else 0


def reached(start: str, nodes: dict, packages: dict) -> set:
    """Names of all packages that `start` is built from, tests and build scripts left out."""
    seen, queue = {start}, [start]
    while queue:
        for edge in nodes[queue.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in edge["dep_kinds"])
            if normal and edge["pkg"] not in seen:
                seen.add(edge["pkg"])
                queue.append(edge["pkg"])
    return {packages[identity]["name"] for identity in seen}


sys.exit(main())
