"""Journal, faults, and how the lab ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from conftest import LAB, SOURCE, Lab, start_lab, until


def last_seq(lab):
    entries = lab.journal()
    return entries[-1]["seq"] if entries else 0


def test_the_journal_has_every_call_in_order_with_who_and_what(lab):
    before = last_seq(lab)
    lab.client("glue").get_crawler(Name="products")
    lab.client("s3").list_objects_v2(Bucket=SOURCE, Prefix="products/")
    lab.client("secretsmanager").get_secret_value(SecretId="airflow/variables/username")
    with pytest.raises(ClientError):
        lab.client("glue").get_job(JobName="nope")
    entries = lab.journal(before)
    assert [(one["service"], one["operation"]) for one in entries] == [
        ("glue", "GetCrawler"), ("s3", "ListObjectsV2"), ("secretsmanager", "GetSecretValue"), ("glue", "GetJob")
    ]
    assert entries[1]["target"]["Bucket"] == SOURCE and entries[1]["target"]["prefix"] == "products/"
    assert {one["account"] for one in entries} == {"123456789012"}
    assert [one["status"] for one in entries] == [200, 200, 200, 400]
    assert "Boto3" in entries[0]["user_agent"]


def test_the_journal_tells_the_account_of_an_assumed_role(lab):
    keys = lab.assume("etl-demo-s3-access")
    before = last_seq(lab)
    lab.client("s3", keys).head_bucket(Bucket=SOURCE)
    (entry,) = lab.journal(before)
    assert (entry["operation"], entry["account"], entry["access_key"]) == ("HeadBucket", "111122223333", keys[0])


def test_the_journal_shows_sql_of_the_wire_but_no_secret(lab):
    before = last_seq(lab)
    with lab.sql() as connection:
        connection.execute("SELECT 'password ''x'''")
        connection.execute("SELECT 1 -- credentials 'aws_access_key_id=AK;aws_secret_access_key=hunter22;token=tok33'")
    lab.client("secretsmanager").create_secret(Name=f"s{time.time_ns()}", SecretString="hunter44")
    entries = lab.journal(before)
    assert [one["kind"] for one in entries] == ["sql", "sql", "aws"]
    text = json.dumps(entries)
    assert not any(secret in text for secret in ("hunter22", "tok33", "hunter44"))


def test_the_sql_page_shows_tables_and_moves_data_without_a_trace_in_the_journal(lab, target):
    before = last_seq(lab)
    answer = lab.page("POST", "/sql", {"sql": f"""
        CREATE TEMP TABLE one (id integer, name varchar(20), price decimal(10, 2)); INSERT INTO one VALUES (2, NULL, 1.5), (1, '100%', 2);
        UNLOAD ('SELECT * FROM one ORDER BY 1') TO 's3://{target}/sql_page_' IAM_ROLE default CSV PARALLEL OFF;
        SELECT id, name, price FROM one ORDER BY id;
    """})
    assert answer == {"columns": ["id", "name", "price"], "rows": [["1", "100%", "2.00"], ["2", None, "1.50"]]}
    assert lab.journal(before) == []
    stored = lab.granted_s3().get_object(Bucket=target, Key="sql_page_000")["Body"].read().decode()
    assert stored.splitlines() == ["1,100%,2.00", "2,,1.50"]


@pytest.mark.parametrize("given", [{}, {"sql": " "}, {"sql": "SELECT * FROM nothing_there"}])
def test_the_sql_page_says_what_is_wrong(lab, given):
    with pytest.raises(urllib.error.HTTPError) as refused:
        lab.page("POST", "/sql", given)
    assert refused.value.code == 400 and len(json.load(refused.value)["error"]) > 20


def test_resetting_the_journal_keeps_the_numbers_going(lab):
    lab.client("s3").list_buckets()
    before = last_seq(lab)
    lab.page("POST", "/journal/reset", {})
    assert lab.journal() == []
    lab.client("s3").list_buckets()
    assert lab.journal()[0]["seq"] == before + 1


def test_a_fault_strikes_as_often_as_told(lab):
    lab.page("POST", "/faults", {"service": "glue", "operation": "GetCrawler", "times": 2, "code": "ThrottlingException", "message": "slow down"})
    for _ in range(2):
        with pytest.raises(ClientError, match="ThrottlingException.*slow down"):
            lab.client("glue").get_crawler(Name="products")
    lab.client("glue").get_crawler(Name="products")
    assert lab.page("GET", "/faults")["faults"][0]["hits"] == 2


def test_a_fault_matches_text_and_speaks_s3(lab):
    lab.page("POST", "/faults", {"service": "s3", "match": "/needle", "status": 503, "code": "SlowDown", "times": 5})
    lab.client("s3").list_objects_v2(Bucket=SOURCE)
    with pytest.raises(ClientError, match="SlowDown"):
        lab.client("s3").get_object(Bucket=SOURCE, Key="needle")


def test_a_fault_after_the_call_leaves_the_work_done(lab):
    lab.page("POST", "/faults", {"service": "sqs", "operation": "CreateQueue", "when": "after", "status": 500, "code": "InternalFailure"})
    with pytest.raises(ClientError, match="InternalFailure"):
        lab.client("sqs").create_queue(QueueName="made-anyway")
    assert "made-anyway" in lab.client("sqs").get_queue_url(QueueName="made-anyway")["QueueUrl"]


def test_faults_by_probability_repeat_with_their_seed(lab):
    def pattern():
        lab.page("DELETE", "/faults")
        rule = {"service": "sts", "probability": 0.5, "seed": 3, "times": None, "code": "Throttling", "status": 400}
        lab.page("POST", "/faults", rule)
        hits = []
        for _ in range(12):
            try:
                lab.client("sts").get_caller_identity()
                hits.append(0)
            except ClientError:
                hits.append(1)
        return hits

    first = pattern()
    assert first == pattern() and 0 < sum(first) < 12


def test_a_wrong_rule_is_refused_with_a_sentence(lab):
    with pytest.raises(urllib.error.HTTPError) as caught:
        lab.page("POST", "/faults", {"servise": "glue"})
    assert "Unknown key 'servise'" in json.load(caught.value)["error"]


def alive(pid):
    """Whether the process still runs; a dead one that nobody has collected does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def descendants(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


@pytest.fixture
def open_folder():
    """A folder that PostgreSQL's user can enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_when_the_lab_is_ended(open_folder, number):
    process = start_lab("--data", str(open_folder / "data"), "--ready-file", str(open_folder / "ready"))
    endpoints = json.loads(process.stdout.readline())
    assert json.loads((open_folder / "ready").read_text()) == endpoints
    glue = Lab(endpoints).client("glue")
    script = {"Name": "glueetl", "ScriptLocation": "s3://aws-glue-assets-123456789012-us-east-1/sleep.py"}
    Lab(endpoints).client("s3").put_object(Bucket="aws-glue-assets-123456789012-us-east-1", Key="sleep.py", Body=b"import time\ntime.sleep(600)")
    glue.create_job(Name="sleeper", Role="AWSGlueServiceRole-lab", Command=script)
    glue.start_job_run(JobName="sleeper")
    until(lambda: any("run_script" in command(pid) for pid in descendants(process.pid)), "the job's process runs")
    children = descendants(process.pid)
    process.send_signal(number)
    process.wait()
    until(lambda: not any(alive(pid) for pid in children), "all children are gone")
    until(lambda: not list((open_folder / "data").iterdir()), "the folder is empty")


@linux
def test_the_lab_ends_with_its_killed_parent(open_folder):
    ready = open_folder / "ready"
    command = [str(LAB / "lab"), "--exit-with-parent", "--ready-file", str(ready), "--data", str(open_folder / "data")]
    script = f"import subprocess; subprocess.run({command!r})"
    environment = {**os.environ, "WINDROSE_VENV": sys.prefix}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL)
    until(ready.exists, "the lab is ready")
    children = descendants(parent.pid)
    parent.kill()
    parent.wait()
    until(lambda: not any(alive(pid) for pid in children), "the lab and its children are gone")
    assert not list((open_folder / "data").iterdir())


def test_a_seed_that_is_not_there_is_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "windrose_lab", "--seed", str(tmp_path)], env={**os.environ, "PYTHONPATH": str(LAB)}, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert "cannot be read" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
def test_a_folder_postgresql_cannot_enter_is_one_sentence(open_folder):
    closed = open_folder / "closed"
    closed.mkdir(0o700)
    process = start_lab("--data", str(closed), stderr=subprocess.PIPE)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "") and "give another folder with --data" in err
    assert not list(closed.iterdir())
