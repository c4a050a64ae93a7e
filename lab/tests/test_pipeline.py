"""The way of the data: CSV in one account's bucket, through crawler, Glue job and procedure, back to S3."""

import json
import uuid

import pytest
from conftest import TARGET, until

JOB_SCRIPT = "s3://sample-inp-bucket-etl-demo/scripts/load_products.py"


def finished(data, statement_id):
    return until(
        lambda: (d := data.describe_statement(Id=statement_id))["Status"] in ("FINISHED", "FAILED", "ABORTED") and d, "statement ends"
    )


def test_a_day_file_ends_up_as_curated_csv_in_the_other_account(lab, day_file, target):
    glue, data = lab.client("glue"), lab.client("redshift-data")
    glue.start_crawler(Name="products")
    crawler = until(lambda: (c := glue.get_crawler(Name="products")["Crawler"])["State"] == "READY" and c, "crawl ends")
    assert crawler["LastCrawl"]["Status"] == "SUCCEEDED"
    name = f"load-{uuid.uuid4().hex[:8]}"
    glue.create_job(
        Name=name, Role="AWSGlueServiceRole-lab", Command={"Name": "glueetl", "ScriptLocation": JOB_SCRIPT}, GlueVersion="4.0",
        WorkerType="G.1X", NumberOfWorkers=10,
    )
    run_id = glue.start_job_run(JobName=name, Arguments={"--source": f"s3://sample-inp-bucket-etl-demo/{day_file}"})["JobRunId"]
    run = until(
        lambda: (r := glue.get_job_run(JobName=name, RunId=run_id)["JobRun"])["JobRunState"] not in ("STARTING", "RUNNING") and r, "job ends"
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    assert (run["GlueVersion"], run["WorkerType"], run["NumberOfWorkers"]) == ("4.0", "G.1X", 10)
    secret = lab.endpoints["secrets"]["redshift/demo"]
    call = data.execute_statement(WorkgroupName="sample-workgroup", Database="dev", SecretArn=secret, Sql="CALL sp_products()")
    assert finished(data, call["Id"])["Status"] == "FINISHED"
    with lab.sql() as connection:
        assert connection.execute("DELETE FROM products").rowcount == 100
        connection.execute(
            f"UNLOAD ($$SELECT product_id, name FROM products_f ORDER BY 1$$) TO 's3://{TARGET}/out/products_' "
            f"credentials 'aws_iam_role={lab.roles['etl-demo-s3-access']}' CSV HEADER PARALLEL OFF ALLOWOVERWRITE;"
        )
    text = lab.granted_s3().get_object(Bucket=TARGET, Key="out/products_000")["Body"].read().decode()
    assert text.splitlines()[0] == "product_id,name" and len(text.splitlines()) == 101


def test_the_seeded_connections_and_variables_name_the_running_lab(lab):
    secrets = lab.client("secretsmanager")

    def value(name):
        return secrets.get_secret_value(SecretId=name)["SecretString"]

    assert value("airflow/variables/username") == "demo"
    place = lab.endpoints["redshift"]
    assert f"@{place['host']}:{place['port']}/dev" in value("airflow/connections/secrets_redshift_connection")
    other = json.loads(value("airflow/connections/aws_xacct"))
    assert other["extra"]["role_arn"] == lab.roles["etl-demo-s3-access"]
    assert other["extra"]["service_config"]["sts"]["endpoint_url"] == lab.url
    assert value("airflow/variables/redshift_secret_arn") == lab.endpoints["secrets"]["redshift/demo"]
    role = lab.client("iam").get_role(RoleName="AWSGlueServiceRole-lab")["Role"]
    assert role["Arn"] == value("airflow/variables/glue_role_arn")


@pytest.mark.parametrize("service", ["sqs", "dynamodb"])
def test_what_the_lab_does_not_change_is_moto_as_it_is(lab, service):
    client = lab.client(service)
    if service == "sqs":
        url = client.create_queue(QueueName="q")["QueueUrl"]
        client.send_message(QueueUrl=url, MessageBody="x")
        assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"
    else:
        assert client.list_tables()["TableNames"] == []
