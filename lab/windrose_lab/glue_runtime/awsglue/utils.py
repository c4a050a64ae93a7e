"""`getResolvedOptions`, as Glue has it."""

import argparse
import sys


class GlueArgumentError(Exception):
    """A required argument is missing."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise GlueArgumentError(message)


def getResolvedOptions(args, options):
    """The named options of a job's command line as a dict; unknown arguments are left alone, as Glue leaves them."""
    parser = _Parser(prog=args[0] if args else sys.argv[0], allow_abbrev=False)
    for name in options:
        parser.add_argument(f"--{name}", required=True)
    known, _ = parser.parse_known_args(args[1:])
    return {name: getattr(known, name.replace("-", "_")) for name in options} | {"JOB_RUN_ID": _value(args, "--JOB_RUN_ID")}


def _value(args, name):
    return args[args.index(name) + 1] if name in args[:-1] else None
