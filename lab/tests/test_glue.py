"""Crawlers that crawl and jobs that run."""

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import SOURCE, until

SCRIPTS = "aws-glue-assets-123456789012-us-east-1"


@pytest.fixture
def glue(lab):
    return lab.client("glue")


def crawled(glue, name):
    return until(lambda: (c := glue.get_crawler(Name=name)["Crawler"])["State"] == "READY" and c.get("LastCrawl") and c, "crawl ends")


@pytest.fixture
def crawler(glue):
    """Makes crawlers that are gone after the test."""
    made = []

    def make(path, **more):
        name = f"crawler-{uuid.uuid4().hex[:8]}"
        given = {"Role": "AWSGlueServiceRole-lab", "DatabaseName": "products_db", "Targets": {"S3Targets": [{"Path": path}]}, **more}
        glue.create_crawler(Name=name, **given)
        made.append(name)
        return name

    yield make
    for name in made:
        crawled_or_never = glue.get_crawler(Name=name)["Crawler"]["State"]
        if crawled_or_never == "READY":
            glue.delete_crawler(Name=name)


@pytest.fixture
def job(lab, glue):
    def make(script, **more):
        name = f"job-{uuid.uuid4().hex[:8]}"
        lab.client("s3").put_object(Bucket=SCRIPTS, Key=f"scripts/{name}.py", Body=script.encode())
        location = f"s3://{SCRIPTS}/scripts/{name}.py"
        glue.create_job(Name=name, Role="AWSGlueServiceRole-lab", Command={"Name": "glueetl", "ScriptLocation": location}, **more)
        return name

    return make


def state(glue, name, run_id):
    return glue.get_job_run(JobName=name, RunId=run_id)["JobRun"]


def job_ended(glue, name, run_id):
    return until(lambda: (r := state(glue, name, run_id))["JobRunState"] not in ("STARTING", "RUNNING", "STOPPING") and r, "job ends")


def log_lines(lab, group, run_id):
    found = lab.client("logs").filter_log_events(logGroupName=f"/aws-glue/jobs/{group}", logStreamNames=[run_id])
    return [event["message"] for event in found["events"]]


def test_a_crawl_makes_a_table_with_types_and_partitions(lab, glue, crawler):
    granted, root = lab.granted_s3(), f"crawl-{uuid.uuid4().hex[:6]}"
    granted.put_object(Bucket=SOURCE, Key=f"{root}/day=01/a.csv", Body=b"id,price,name\n1,2,x\n2,2.5,y\n")
    granted.put_object(Bucket=SOURCE, Key=f"{root}/day=02/b.csv", Body=b"id,price,name\n3,4,7\n")
    name = crawler(f"s3://{SOURCE}/{root}/")
    glue.start_crawler(Name=name)
    assert crawled(glue, name)["LastCrawl"]["Status"] == "SUCCEEDED"
    table = glue.get_table(DatabaseName="products_db", Name=root.replace("-", "_"))["Table"]
    columns = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
    assert columns == {"id": "bigint", "price": "double", "name": "string"}
    assert table["PartitionKeys"] == [{"Name": "day", "Type": "string"}]
    found = glue.get_partitions(DatabaseName="products_db", TableName=table["Name"], Expression="day='02'")["Partitions"]
    assert [one["StorageDescriptor"]["Location"] for one in found] == [f"s3://{SOURCE}/{root}/day=02/"]
    metrics = glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"]) == (1, 0)


def test_a_crawl_as_a_role_the_bucket_refuses_fails_with_a_reason(lab, glue, crawler):
    name = crawler("s3://sample-opt-bucket-etl-demo/out/")
    glue.start_crawler(Name=name)
    last = crawled(glue, name)["LastCrawl"]
    assert last["Status"] == "FAILED" and "Access Denied" in last["ErrorMessage"]


def test_a_running_crawler_cannot_be_started_or_changed_and_can_be_stopped(lab, glue, crawler):
    name = crawler(f"s3://{SOURCE}/none/")
    lab.page("POST", "/hold", {"kind": "crawler", "match": name})
    glue.start_crawler(Name=name)
    assert glue.get_crawler(Name=name)["Crawler"]["State"] == "RUNNING"
    for call in (lambda: glue.start_crawler(Name=name), lambda: glue.update_crawler(Name=name, Description="x")):
        with pytest.raises(glue.exceptions.CrawlerRunningException):
            call()
    glue.stop_crawler(Name=name)
    assert crawled(glue, name)["LastCrawl"]["Status"] == "CANCELLED"


def test_a_changed_crawler_has_a_new_version(glue, crawler):
    name = crawler(f"s3://{SOURCE}/none/")
    glue.update_crawler(Name=name, Description="new", TablePrefix="p_")
    shown = glue.get_crawler(Name=name)["Crawler"]
    assert (shown["Description"], shown["TablePrefix"], shown["Version"]) == ("new", "p_", 2)


def test_a_start_may_show_late_when_the_lab_is_told_so(lab, glue, crawler):
    name = crawler(f"s3://{SOURCE}/none/")
    glue.start_crawler(Name=name)
    before = crawled(glue, name)["LastCrawl"]
    lab.page("POST", "/settings", {"crawler_start_lag": 2})
    lab.page("POST", "/hold", {"kind": "crawler", "match": name})
    glue.start_crawler(Name=name)
    shown = [glue.get_crawler(Name=name)["Crawler"] for _ in range(3)]
    assert [one["State"] for one in shown] == ["READY", "READY", "RUNNING"]
    assert shown[0]["LastCrawl"]["StartTime"] == before["StartTime"]
    lab.page("DELETE", "/hold")
    assert until(lambda: crawled(glue, name)["LastCrawl"]["StartTime"] > before["StartTime"], "second crawl ends")


def test_a_job_runs_its_script_with_arguments_and_logs(lab, glue, job):
    name = job(
        "import sys\nfrom awsglue.utils import getResolvedOptions\nfrom awsglue.job import Job\n"
        "o = getResolvedOptions(sys.argv, ['JOB_NAME', 'colour'])\nj = Job(); j.init(o['JOB_NAME'], o)\n"
        "print('colour', o['colour'], o['JOB_RUN_ID'])\nprint('warned', file=sys.stderr)\nj.commit()\n",
        DefaultArguments={"--colour": "red", "--other": "1"}, GlueVersion="4.0", WorkerType="G.1X", NumberOfWorkers=10,
    )
    run_id = glue.start_job_run(JobName=name, Arguments={"--colour": "blue"})["JobRunId"]
    run = job_ended(glue, name, run_id)
    assert (run["JobRunState"], run["Arguments"]) == ("SUCCEEDED", {"--colour": "blue", "--other": "1"}), run
    assert log_lines(lab, "output", run_id) == [f"colour blue {run_id}"]
    assert log_lines(lab, "error", run_id) == ["warned"]


def test_a_failing_script_fails_the_run_with_its_last_line(glue, job):
    name = job("raise ValueError('bad row 7')")
    run = job_ended(glue, name, glue.start_job_run(JobName=name)["JobRunId"])
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", "ValueError: bad row 7")


def test_a_missing_script_fails_the_run(glue):
    name = f"job-{uuid.uuid4().hex[:8]}"
    glue.create_job(Name=name, Role="AWSGlueServiceRole-lab", Command={"Name": "glueetl", "ScriptLocation": f"s3://{SCRIPTS}/none.py"})
    run = job_ended(glue, name, glue.start_job_run(JobName=name)["JobRunId"])
    assert run["JobRunState"] == "FAILED" and "NoSuchKey" in run["ErrorMessage"]


def test_a_script_acts_as_the_jobs_role(lab, glue, job):
    name = job("import boto3\nprint(boto3.client('sts').get_caller_identity()['Arn'])\n"
               "boto3.client('s3').put_object(Bucket='sample-opt-bucket-etl-demo', Key='x', Body=b'')")
    run_id = glue.start_job_run(JobName=name)["JobRunId"]
    run = job_ended(glue, name, run_id)
    assert run["JobRunState"] == "FAILED" and "AccessDenied" in run["ErrorMessage"]
    assert log_lines(lab, "output", run_id) == ["arn:aws:sts::123456789012:assumed-role/AWSGlueServiceRole-lab/GlueJobRunnerSession"]


def test_a_stopped_run_ends_as_stopped_and_its_process_is_gone(lab, glue, job):
    name = job("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    run_id = glue.start_job_run(JobName=name)["JobRunId"]
    pid = int(until(lambda: log_lines(lab, "output", run_id), "script starts")[0])
    answer = glue.batch_stop_job_run(JobName=name, JobRunIds=[run_id, "jr_unknown"])
    assert [one["JobRunId"] for one in answer["SuccessfulSubmissions"]] == [run_id]
    assert answer["Errors"][0]["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    assert job_ended(glue, name, run_id)["JobRunState"] == "STOPPED"
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)


def test_a_run_over_its_timeout_ends_as_timeout(lab, glue, job):
    lab.page("POST", "/settings", {"glue_minute_seconds": 0.2})
    name = job("import time\ntime.sleep(600)")
    assert job_ended(glue, name, glue.start_job_run(JobName=name, Timeout=1)["JobRunId"])["JobRunState"] == "TIMEOUT"


def test_concurrent_runs_are_limited(lab, glue, job):
    name = job("print(1)", ExecutionProperty={"MaxConcurrentRuns": 1})
    lab.page("POST", "/hold", {"kind": "glue_job", "match": name})
    first = glue.start_job_run(JobName=name)["JobRunId"]
    with pytest.raises(glue.exceptions.ConcurrentRunsExceededException):
        glue.start_job_run(JobName=name)
    lab.page("DELETE", "/hold")
    assert job_ended(glue, name, first)["JobRunState"] == "SUCCEEDED"
    second = glue.start_job_run(JobName=name)["JobRunId"]
    assert [run["Id"] for run in glue.get_job_runs(JobName=name)["JobRuns"]] == [second, first]


def test_a_held_job_is_running_until_released(lab, glue, job):
    name = job("print('went on')")
    hold = lab.page("POST", "/hold", {"kind": "glue_job", "match": "--marker m1"})
    run_id = glue.start_job_run(JobName=name, Arguments={"--marker": "m1"})["JobRunId"]
    until(lambda: lab.page("GET", "/hold")["holds"][0]["holding"], "the job is held")
    assert state(glue, name, run_id)["JobRunState"] == "RUNNING"
    lab.page("DELETE", f"/hold/{hold['id']}")
    assert job_ended(glue, name, run_id)["JobRunState"] == "SUCCEEDED"


def test_the_services_own_retries_are_runs_of_their_own(glue, job):
    name = job("raise SystemExit(3)", MaxRetries=1)
    run_id = glue.start_job_run(JobName=name)["JobRunId"]
    assert job_ended(glue, name, run_id)["ErrorMessage"] == "Command failed with exit code 3"
    again = until(lambda: [r for r in glue.get_job_runs(JobName=name)["JobRuns"] if r["Attempt"] == 1], "retry")[0]
    assert (again["Id"], again["PreviousRunId"]) == (f"{run_id}_attempt_1", run_id)


def test_update_job_replaces_the_definition(glue, job):
    name = job("print(1)", DefaultArguments={"--a": "1"}, Description="old")
    command = {"Name": "glueetl", "ScriptLocation": f"s3://{SCRIPTS}/other.py"}
    glue.update_job(JobName=name, JobUpdate={"Role": "AWSGlueServiceRole-lab", "Command": command})
    shown = glue.get_job(JobName=name)["Job"]
    assert shown["Command"]["ScriptLocation"].endswith("other.py")
    assert shown.get("DefaultArguments", {}) == {} and not shown.get("Description")


def test_unknown_jobs_and_runs_are_not_found(glue, job):
    for call in (lambda: glue.start_job_run(JobName="no-such-job"), lambda: glue.get_job_run(JobName=job("1"), RunId="jr_0")):
        with pytest.raises(ClientError, match="EntityNotFoundException"):
            call()
