"""Runs the callable of a task and writes what became of it to result.json."""

import datetime
import decimal
import importlib.util
import inspect
import json
import os
import runpy
import sys
import traceback

FOLDER = os.path.dirname(os.path.abspath(__file__))
DATES = {"logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date"}
FILE_DATES = {"LastModified", "Expires", "ObjectLockRetainUntilDate"}


def as_json(value):
    """What JSON has no form for."""
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a value of type {type(value).__name__} cannot be kept as an XCom; return something that JSON has")


def with_dates(facts, names=DATES):
    """Dates come as text; tasks expect them as dates."""
    parsed = {}
    for name, value in facts.items():
        if name in names and isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        parsed[name] = value
    return parsed


class Facts(dict):
    """Facts that are read as attributes too: `dag_run.conf`."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def context_of(task, windrose):
    context = with_dates(task["context"])
    for name in ("dag_run", "dag", "task"):
        if isinstance(context.get(name), dict):
            context[name] = Facts(with_dates(context[name]))
    context["ti"] = context["task_instance"] = windrose.TaskInstance(context.get("ti") or {})
    context["templates_dict"] = task.get("templates_dict")
    context["outlet_events"] = windrose.outlet_events
    return context


def arguments(function, context, op_args, op_kwargs):
    """The context's names that the function takes, and the task's own arguments over them."""
    offered = {**context, **op_kwargs}
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return op_kwargs
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        taken_by_position = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        for name in taken_by_position[: len(op_args)]:
            if name not in op_kwargs:
                offered.pop(name, None)
        return offered
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    by_position = set(names[: len(op_args)])
    return {**{n: offered[n] for n in names if n in offered and n not in by_position}, **op_kwargs}


def load(path, name):
    stem = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    spec.loader.exec_module(module)
    target = module
    for part in name.split("."):
        target = getattr(target, part)
    return target


def judge(task, windrose):
    """What a sensor's check_fn says of the files. As in Airflow it gets the context only if it takes any keyword."""
    function = load(task["path"], task["function"])
    files = [with_dates(file, FILE_DATES) for file in task["files"]]
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return bool(function(files, **windrose.context()))
    return bool(function(files))


def execute(task, windrose):
    if "files" in task:
        return judge(task, windrose)
    if "answers" in task or "results" in task:
        from windrose import sql

        return sql.call(load(task["path"], task["function"]), task)
    op_args, op_kwargs = task["op_args"], task["op_kwargs"]
    if task["function"] is None:
        sys.argv = [task["path"], *[str(arg) for arg in op_args]]
        runpy.run_path(task["path"], run_name="__main__")
        return None
    function = load(task["path"], task["function"])
    return function(*op_args, **arguments(function, windrose.context(), op_args, op_kwargs))


def verdict(error):
    """Which of the meanings an exception has, by the names of its classes: Airflow's own count as well as ours."""
    names = {c.__name__ for c in type(error).__mro__ if c.__module__.partition(".")[0] in ("windrose", "airflow")}
    if names & {"Skip", "AirflowSkipException"}:
        return "skip"
    return "fail" if names & {"Fail", "AirflowFailException"} else "raise"


def place(error, folder):
    """Where it was raised: the innermost line in the DAG's folder, or else the innermost line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.relpath(error.filename, folder)}:{error.lineno}"
    own = [f for f in frames if f.filename.startswith(folder + os.sep)]
    if own:
        return f"{os.path.relpath(own[-1].filename, folder)}:{own[-1].lineno}"
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def print_traceback(error):
    """Without the lines of this file, which are no help to anyone."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, "<frozen importlib._bootstrap>"):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def main():
    sys.path[0] = os.path.join(FOLDER, "lib")
    with open(os.path.join(FOLDER, "input.json"), encoding="utf-8") as file:
        task = json.load(file)
    sys.path[1:1] = [os.path.dirname(task["path"]), task["folder"]]
    sys.path.append(os.path.join(FOLDER, "fallback"))
    import windrose

    windrose._address, windrose._token = task["address"], task["token"]
    windrose._context = context_of(task, windrose)
    result = {}
    try:
        value = execute(task, windrose)
        result = {"value": json.loads(json.dumps(value, default=as_json))}
    except Exception as error:
        kind = verdict(error)
        if kind != "skip":
            print_traceback(error)
        result["error"] = {
            "kind": kind,
            "exception": type(error).__name__,
            "message": str(error),
            "location": place(error, task["folder"]),
        }
    result["assets"] = json.loads(json.dumps(windrose.outlet_events._changed(), default=as_json))
    result["xcoms"] = json.loads(json.dumps(windrose._pushed, default=as_json))
    with open(os.path.join(FOLDER, "result.json"), "w", encoding="utf-8") as file:
        json.dump(result, file)


main()
