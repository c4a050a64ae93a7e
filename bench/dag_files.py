"""The DAG files that are measured."""

COMMAND = "true"


def bash_task(task_id: str, upstream: list) -> str:
    return f'[tasks.{task_id}]\noperator = "bash"\nbash_command = "{COMMAND}"\nupstream = {upstream}\n'


def empty_task(task_id: str, upstream: list) -> str:
    return f'[tasks.{task_id}]\noperator = "empty"\nupstream = {upstream}\n'


def chain(length: int, task) -> str:
    return "".join(task(f"t{i:03}", [f"t{i - 1:03}"] if i else []) for i in range(length))


def fan(width: int, task, in_parallel: int) -> str:
    """One task, `width` tasks after it, and one after them."""
    names = [f"f{i:04}" for i in range(width)]
    middle = "".join(task(name, ["first"]) for name in names)
    return f"max_active_tasks = {in_parallel}\n" + task("first", []) + middle + task("last", names)


def mapped(count: int, in_parallel: int) -> str:
    """A task that returns a list, and one that is mapped over it."""
    returns = f"python3 -c 'import json; print(json.dumps([\"{COMMAND}\"] * {count}))'"
    return (
        f"max_active_tasks = {in_parallel}\n"
        f"[tasks.source]\noperator = \"bash\"\noutput_processor = \"json\"\nbash_command = '''{returns}'''\n"
        '[tasks.mapped]\noperator = "bash"\nexpand = { bash_command = { xcom = "source" } }\n'
    )


def layers(count: int, width: int, task) -> str:
    """Layers in which every task follows two tasks of the layer before."""
    text = "max_active_tasks = 1000\n"
    for layer in range(count):
        for i in range(width):
            above = [f"l{layer - 1}_{i}", f"l{layer - 1}_{(i + 1) % width}"] if layer else []
            text += task(f"l{layer}_{i}", above)
    return text


def many_runs(count: int, task) -> str:
    """A schedule whose `count` runs are all due at once."""
    return (
        'schedule = { every = "1m" }\ncatchup = true\nstart_date = 2024-01-01T00:00:00Z\n'
        f"end_date = 2024-01-01T{(count - 1) // 60:02}:{(count - 1) % 60:02}:00Z\nmax_active_runs = {count}\n"
        + task("only", [])
    )


def idle(number: int) -> str:
    """A DAG that waits for its schedule."""
    return f'schedule = "{number % 60} 3 * * *"\nstart_date = 2099-01-01\n' + chain(10, bash_task)


def sensors(count: int, seconds: int) -> str:
    text = "max_active_tasks = 1000\n"
    for i in range(count):
        text += (
            f'[tasks.s{i:03}]\noperator = "s3_key_sensor"\nbucket_key = "s3://bench/never/{i}.csv"\n'
            f'mode = "reschedule"\npoke_interval = "{seconds}s"\ntimeout = "1h"\n'
        )
    return text


def typical(number: int) -> str:
    """A small pipeline with templates, as a folder has thousands of."""
    return f'''description = "Pipeline {number}"
schedule = "{number % 60} 3 * * *"
start_date = 2024-01-01
tags = ["bench", "team-{number % 20}"]
chain = ["wait", ["extract", "audit"], "load", "done"]

[vars]
bucket = "bucket-{number}"
partition = "year={{{{ ds[:4] }}}}/month={{{{ ds[5:7] }}}}"

[defaults]
retries = 2
retry_delay = "5m"

[tasks.wait]
operator = "s3_key_sensor"
bucket_key = "s3://{{{{ vars.bucket }}}}/{{{{ vars.partition }}}}/*.csv"
wildcard_match = true
mode = "reschedule"
timeout = "12h"

[tasks.extract]
operator = "bash"
bash_command = "extract --day {{{{ ds }}}} --bucket {{{{ vars.bucket }}}}"

[tasks.audit]
operator = "bash"
bash_command = "audit {{{{ run_id }}}}"
execution_timeout = "10m"

[tasks.load]
operator = "bash"
bash_command = "load {{{{ data_interval_start }}}} {{{{ data_interval_end }}}}"

[tasks.done]
operator = "empty"
'''
