"""Measures the windrose binary and prints medians, with raw baselines measured beside them.

usage: scripts/bench [--quick] [--only NAME]… [--database sqlite|postgres] [--markdown]
"""

import argparse
import contextlib
import os
import platform
import sys

from measures import MEASURES, WITHOUT_DATABASE, Row, Settings
from postgres import Postgres
from windrose import Failed


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Windrose against raw baselines.")
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one repetition, and shorter waits")
    parser.add_argument("--only", action="append", choices=list(MEASURES), metavar="NAME", default=[],
                        help=f"one of: {', '.join(MEASURES)}; may be repeated")
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="only this one")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser.parse_args()


def figure(value, unit: str) -> str:
    if value is None:
        return ""
    if unit == "s" and value < 1:
        return f"{1000 * value:.3g} ms" if value < 0.1 else f"{1000 * value:.0f} ms"
    digits = 0 if unit == "looks" else 2 if value < 10 else 1
    return f"{value:.{digits}f} {unit}"


def cells(row: Row) -> list:
    spread = f"{figure(min(row.figures), row.unit)} – {figure(max(row.figures), row.unit)}" if len(row.figures) > 1 else ""
    baseline = f"{figure(row.raw_median, row.unit)} ({row.raw_name})" if row.raw_figures else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    return [row.name, figure(row.median, row.unit), spread, baseline, ratio, row.goal]


HEADS = ["measure", "median", "range", "raw baseline", "ratio", "reach for"]


def print_row(values: list, markdown: bool):
    if markdown:
        print("| " + " | ".join(values) + " |", flush=True)
    else:
        widths = [48, 10, 20, 34, 7, 10]
        print("  ".join(value.ljust(width) for value, width in zip(values, widths)).rstrip(), flush=True)


def machine() -> str:
    model = "unknown processor"
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}, load {load}"


def measure(options, names: list, settings: Settings) -> bool:
    ok = True
    print_row(HEADS, options.markdown)
    if options.markdown:
        print_row(["---"] * len(HEADS), True)
    for name in names:
        try:
            for row in MEASURES[name](settings):
                print_row(cells(row), options.markdown)
        except Failed as error:
            ok = False
            print(f"{name}: {error}", file=sys.stderr, flush=True)
    return ok


def main() -> int:
    options = arguments()
    names = options.only or list(MEASURES)
    repetitions = 1 if options.quick else 5
    ok = True
    if options.database != "postgres":
        print(f"\nSQLite, synchronous = FULL; {machine()}\n", flush=True)
        settings = Settings(options.binary, lambda: None, repetitions, options.quick)
        ok &= measure(options, names, settings)
        names = [name for name in names if name not in WITHOUT_DATABASE]
    if options.database != "sqlite" and names:
        with Postgres() as server:
            print(f"\nPostgreSQL, fsync = on; {machine()}\n", flush=True)
            settings = Settings(options.binary, server.new_database, repetitions, options.quick)
            ok &= measure(options, names, settings)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
