"""What is measured. Each function yields rows: (name, figures of Windrose, figures of the raw baseline, unit, goal)."""

import pathlib
import statistics
import tempfile
import time
from dataclasses import dataclass, field

import dag_files
import raw
import usage
from object_store import EmptyStore
from windrose import Failed, Windrose, instant


@dataclass
class Row:
    """One line of the table."""

    name: str
    unit: str
    goal: str = ""
    figures: list = field(default_factory=list)
    raw_figures: list = field(default_factory=list)
    raw_name: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def raw_median(self):
        return statistics.median(self.raw_figures) if self.raw_figures else None

    @property
    def ratio(self):
        return self.median / self.raw_median if self.raw_figures else None


@dataclass
class Settings:
    """How to measure."""

    binary: str
    new_database: object
    repetitions: int
    quick: bool

    def windrose(self, dags: dict, environment=None) -> Windrose:
        return Windrose(self.binary, self.new_database(), dags, environment)


def seconds_of(shown: dict) -> float:
    """From the creation of a run to its end."""
    return instant(shown["run"]["ended_at"]) - instant(shown["run"]["created_at"])


def gaps(shown: dict) -> list:
    """From the end of each task of a chain to the start of the next one, in milliseconds."""
    tasks = sorted(shown["tasks"], key=lambda task: task["task_id"])
    return [1000 * (instant(b["started_at"]) - instant(a["ended_at"])) for a, b in zip(tasks, tasks[1:])]


def chain_bash(settings: Settings):
    total = Row("chain of 40 bash tasks", "s", "≤ 3 × raw", raw_name="xargs -P1, 40 bash")
    hops = Row("end of a task to start of the next", "ms", "≤ 2 ms")
    with settings.windrose({"chain": dag_files.chain(40, dag_files.bash_task)}) as windrose:
        windrose.start()
        for _ in range(settings.repetitions):
            total.raw_figures.append(raw.spawns(40, 1))
            shown = windrose.trigger("chain")
            total.figures.append(seconds_of(shown))
            hops.figures.append(statistics.median(gaps(shown)))
    return [total, hops]


def of_runs(settings: Settings, row: Row, dag: str, baseline, seconds=seconds_of):
    with settings.windrose({"measured": dag}) as windrose:
        windrose.start()
        for _ in range(settings.repetitions):
            row.raw_figures.append(baseline())
            row.figures.append(seconds(windrose.trigger("measured")))
    return [row]


def seconds_before_last(shown: dict) -> float:
    """From the creation of a run to the start of its task `last`, which is dispatched once all before it is durable."""
    last = next(task for task in shown["tasks"] if task["task_id"] == "last")
    return instant(last["started_at"]) - instant(shown["run"]["created_at"])


def chain_empty(settings: Settings):
    row = Row("chain of 40 empty tasks", "s", raw_name="40 rows, 1 commit")
    dag = dag_files.chain(40, dag_files.empty_task) + dag_files.bash_task("last", ["t039"])
    return of_runs(settings, row, dag, lambda: raw.durable_rows(40), seconds_before_last)


def fan_bash(settings: Settings):
    row = Row("1 → 500 bash → 1, 32 in parallel", "s", raw_name="xargs -P32, 502 bash")
    return of_runs(settings, row, dag_files.fan(500, dag_files.bash_task, 32), lambda: raw.spawns(502, 32))


def mapped_bash(settings: Settings):
    """What an instance costs must not depend on how many there are."""
    row = Row("bash mapped over 10,000 elements, each", "ms", raw_name="over 500 elements, each")
    for _ in range(settings.repetitions):
        for count, figures in [(500, row.raw_figures), (10_000, row.figures)]:
            with settings.windrose({"mapped": dag_files.mapped(count, 32)}) as windrose:
                windrose.start()
                figures.append(1000 * seconds_of(windrose.trigger("mapped")) / count)
    return [row]


def layers_empty(settings: Settings):
    row = Row("1,000 empty tasks in 10 layers", "s", "≤ 0.5 s", raw_name="1,000 rows, 1 commit")
    dag = dag_files.layers(10, 100, dag_files.empty_task)
    dag += dag_files.bash_task("last", [f"l9_{i}" for i in range(100)])
    return of_runs(settings, row, dag, lambda: raw.durable_rows(1000), seconds_before_last)


def many_runs(settings: Settings):
    row = Row("200 runs of one bash task", "s", raw_name="xargs -P32, 200 bash")
    for _ in range(settings.repetitions):
        row.raw_figures.append(raw.spawns(200, 32))
        with settings.windrose({}) as windrose:
            windrose.start().write_dag("runs", dag_files.many_runs(200, dag_files.bash_task))
            runs = windrose.runs_when_done("runs", 200, 120)
        if len(runs) != 200:
            raise Failed(f"the schedule has 200 runs, but {len(runs)} were made")
        began = min(instant(run["created_at"]) for run in runs)
        row.figures.append(max(instant(run["ended_at"]) for run in runs) - began)
    return [row]


def first_task(settings: Settings):
    row = Row("start of the process to the first finished task", "s", raw_name="xargs -P1, 1 bash")
    dag = 'schedule = "@once"\nstart_date = 2024-01-01\n' + dag_files.bash_task("only", [])
    for _ in range(settings.repetitions):
        row.raw_figures.append(raw.spawns(1, 1))
        with settings.windrose({"once": dag}) as windrose:
            windrose.start()
            runs = windrose.runs_when_done("once", 1, 30)
            row.figures.append(instant(runs[0]["ended_at"]) - windrose.spawned_at)
    return [row]


def idle(settings: Settings):
    memory = Row("memory, idle with 100 DAGs", "MB", "≤ 60 MB")
    cpu = Row("CPU, idle with 100 DAGs", "%", "≤ 0.1 %")
    with settings.windrose({f"idle{i:03}": dag_files.idle(i) for i in range(100)}) as windrose:
        pid = windrose.start().process.pid
        time.sleep(2)
        for _ in range(settings.repetitions):
            cpu.figures.append(usage.cpu_percent(pid, 5 if settings.quick else 20))
            memory.figures.append(usage.resident_megabytes(pid))
    return [memory, cpu]


def sensors(settings: Settings):
    """Once: what counts is a minute, not its repetition."""
    every, seconds, count = 5, 15 if settings.quick else 60, 200
    cpu = Row(f"CPU, {count} sensors looking every {every} s", "%")
    looks = Row(f"looks in {seconds} s (raw: as many as are due)", "looks", raw_name="arithmetic")
    with EmptyStore() as store:
        # Credentials must be there; nobody checks them.
        connection = f"aws://key:secret@/?region_name=eu-west-1&endpoint_url={store.url.replace(':', '%3A').replace('/', '%2F')}"
        environment = {"AIRFLOW_CONN_AWS_DEFAULT": connection}
        with settings.windrose({"sensors": dag_files.sensors(count, every)}, environment) as windrose:
            pid = windrose.start().process.pid
            windrose.json("dags", "trigger", "sensors")
            deadline = time.time() + 30
            while store.looks < count:
                if time.time() > deadline:
                    raise Failed(f"only {store.looks} of {count} sensors have looked:\n"
                                 + (windrose.folder / "standalone.log").read_text()[-2000:])
                time.sleep(0.1)
            time.sleep(every / 2)
            before = store.looks
            cpu.figures.append(usage.cpu_percent(pid, seconds))
            looks.figures.append(store.looks - before)
            looks.raw_figures.append(count * seconds / every)
    return [cpu, looks]


def check_files(settings: Settings):
    row = Row("dags check of 5,000 files", "s", "< 2 s", raw_name="cat of 5,000 files")
    cpu = Row("the same, CPU time", "s")
    with tempfile.TemporaryDirectory(prefix="windrose-bench-files-") as name:
        folder = pathlib.Path(name)
        typical_files(folder, 5000)
        with settings.windrose({}) as windrose:
            for _ in range(settings.repetitions):
                row.raw_figures.append(raw.reading(folder))
                cpu_before, began = usage.cpu_seconds_of_ended(), time.perf_counter()
                done = windrose.run("dags", "check", str(folder))
                row.figures.append(time.perf_counter() - began)
                cpu.figures.append(usage.cpu_seconds_of_ended() - cpu_before)
                if done.returncode:
                    raise Failed(f"the files have errors: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return [row, cpu]


def typical_files(folder: pathlib.Path, count: int):
    for i in range(count):
        below = folder / f"team{i % 20}"
        below.mkdir(exist_ok=True)
        (below / f"pipeline{i:04}.toml").write_text(dag_files.typical(i))


def load_files(settings: Settings):
    cold = Row("start with 5,000 new DAG files, to ready", "s", "≤ 2 s", raw_name="cat of 5,000 files")
    warm = Row("start with 5,000 known DAG files, to ready", "s")
    change = Row("one changed file of 5,000, to its new version", "s", "≤ 1 s", raw_name="the command that looks for it")
    for _ in range(settings.repetitions):
        with settings.windrose({}, {"WINDROSE__DAG_DEFAULTS__PAUSED_AT_CREATION": "true"}) as windrose:
            dags = windrose.folder / "dags"
            typical_files(dags, 5000)
            cold.raw_figures.append(raw.reading(dags))
            began = time.perf_counter()
            windrose.start()
            cold.figures.append(time.perf_counter() - began)
            file = dags / "team7" / "pipeline0007.toml"
            began = time.perf_counter()
            windrose.json("dags", "versions", "pipeline0007")
            change.raw_figures.append(time.perf_counter() - began)
            half = file.with_suffix(".half")
            half.write_text(file.read_text() + '\n[tasks.another]\noperator = "empty"\n')
            began = time.perf_counter()
            half.rename(file)
            while len(windrose.json("dags", "versions", "pipeline0007")) < 2:
                pass
            change.figures.append(time.perf_counter() - began)
            windrose.stop()
            began = time.perf_counter()
            windrose.start()
            warm.figures.append(time.perf_counter() - began)
    return [cold, warm, change]


MEASURES = {
    "chain_bash": chain_bash,
    "chain_empty": chain_empty,
    "fan_bash": fan_bash,
    "mapped_bash": mapped_bash,
    "layers_empty": layers_empty,
    "many_runs": many_runs,
    "first_task": first_task,
    "idle": idle,
    "sensors": sensors,
    "check_files": check_files,
    "load_files": load_files,
}
WITHOUT_DATABASE = {"check_files"}
