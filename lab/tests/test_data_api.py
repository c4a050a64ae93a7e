"""The Data API's life cycle, as boto3 sees it."""

import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import until

PLACE = {"WorkgroupName": "sample-workgroup", "Database": "dev"}
TERMINAL = ("FINISHED", "FAILED", "ABORTED")


@pytest.fixture
def data(lab):
    return lab.client("redshift-data")


def ended(data, call):
    return until(lambda: (d := data.describe_statement(Id=call["Id"]))["Status"] in TERMINAL and d, "statement ends")


def execute(data, sql, **more):
    return ended(data, data.execute_statement(Sql=sql, **{**PLACE, **more}))


def error(call):
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_query_finishes_with_typed_cells(data):
    done = execute(data, "SELECT 1::int AS i, 2.5::float8 AS f, true AS b, NULL::text AS n, 'x'::varchar AS s, 1.10::numeric(5,2) AS d")
    assert (done["Status"], done["HasResultSet"], done["ResultRows"]) == ("FINISHED", True, 1)
    result = data.get_statement_result(Id=done["Id"])
    assert result["Records"] == [
        [{"longValue": 1}, {"doubleValue": 2.5}, {"booleanValue": True}, {"isNull": True}, {"stringValue": "x"}, {"stringValue": "1.10"}]
    ]
    assert [column["typeName"] for column in result["ColumnMetadata"]] == ["int4", "float8", "bool", "varchar", "varchar", "numeric"]


def test_named_parameters_are_bound_and_unused_ones_refused(data):
    done = execute(data, "SELECT :a::int + 1, ':a'", Parameters=[{"name": "a", "value": "41"}])
    assert data.get_statement_result(Id=done["Id"])["Records"] == [[{"longValue": 42}, {"stringValue": ":a"}]]
    assert done["QueryParameters"] == [{"name": "a", "value": "41"}]
    code, text = error(lambda: data.execute_statement(Sql="SELECT 1", Parameters=[{"name": "a", "value": "1"}], **PLACE))
    assert code == "ValidationException" and "unused parameters" in text


def test_a_failure_has_redshifts_error_text(data):
    done = execute(data, "SELECT * FROM nope")
    assert done["Status"] == "FAILED"
    assert done["Error"].startswith('ERROR: relation "nope" does not exist')
    assert execute(data, "SELECT 1; SELECT 2")["Error"].startswith("ERROR: cannot insert multiple commands into a prepared statement")


def test_a_batch_is_one_transaction(data):
    name = f"batch_{uuid.uuid4().hex[:8]}"
    execute(data, f"CREATE TABLE {name} (i int)")
    good = ended(data, data.batch_execute_statement(Sqls=[f"INSERT INTO {name} VALUES (1)", f"SELECT * FROM {name}"], **PLACE))
    assert [part["Id"] for part in good["SubStatements"]] == [f"{good['Id']}:1", f"{good['Id']}:2"]
    assert data.get_statement_result(Id=f"{good['Id']}:2")["Records"] == [[{"longValue": 1}]]
    bad = ended(data, data.batch_execute_statement(Sqls=[f"INSERT INTO {name} VALUES (2)", "SELECT 1/0", "SELECT 3"], **PLACE))
    assert [part["Status"] for part in bad["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
    assert bad["Error"] == "Query #2 failed with ERROR: division by zero"
    count = execute(data, f"SELECT count(*) FROM {name}")
    assert data.get_statement_result(Id=count["Id"])["Records"] == [[{"longValue": 1}]]


def test_a_cancelled_statement_is_aborted(data):
    call = data.execute_statement(Sql="SELECT pg_sleep(600)", **PLACE)
    until(lambda: data.describe_statement(Id=call["Id"])["Status"] == "STARTED", "statement starts")
    assert data.cancel_statement(Id=call["Id"])["Status"] is True
    assert ended(data, call)["Status"] == "ABORTED"
    code, text = error(lambda: data.cancel_statement(Id=call["Id"]))
    assert code == "ValidationException" and "already in ABORTED state" in text


def test_results_come_in_pages(data):
    done = execute(data, "SELECT generate_series(1, 2500)")
    pages = [len(page["Records"]) for page in data.get_paginator("get_statement_result").paginate(Id=done["Id"])]
    assert pages == [1000, 1000, 500]


def test_results_are_refused_as_aws_refuses_them(lab, data):
    done = execute(data, "SET search_path TO public")
    assert error(lambda: data.get_statement_result(Id=done["Id"]))[0] == "ResourceNotFoundException"
    assert error(lambda: data.describe_statement(Id=str(uuid.uuid4())))[0] == "ResourceNotFoundException"
    assert error(lambda: data.describe_statement(Id="x"))[0] == "ValidationException"
    lab.page("POST", "/hold", {"kind": "statement", "match": "held result"})
    call = data.execute_statement(Sql="SELECT 1 /* held result */", **PLACE)
    assert error(lambda: data.get_statement_result(Id=call["Id"]))[0] == "ValidationException"


@pytest.mark.parametrize(
    "place",
    [
        {"Database": "dev"},
        {"Database": "dev", "WorkgroupName": "sample-workgroup", "ClusterIdentifier": "sample-cluster"},
        {"Database": "dev", "WorkgroupName": "no-such-workgroup"},
        {"Database": "dev", "ClusterIdentifier": "no-such-cluster"},
        {"WorkgroupName": "sample-workgroup"},
        {"Database": "dev", "WorkgroupName": "sample-workgroup", "SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-abcdef"},
        {"SessionId": str(uuid.uuid4())},
    ],
)
def test_a_request_that_names_no_place_to_run_is_invalid(data, place):
    assert error(lambda: data.execute_statement(Sql="SELECT 1", **place))[0] == "ValidationException"


def test_the_same_client_token_starts_one_statement(data):
    token = str(uuid.uuid4())
    ids = {data.execute_statement(Sql="SELECT 1", ClientToken=token, **PLACE)["Id"] for _ in range(3)}
    assert len(ids) == 1


def test_a_session_keeps_its_temporary_tables(data):
    first = ended(data, data.execute_statement(Sql="CREATE TEMP TABLE kept AS SELECT 7 AS v", SessionKeepAliveSeconds=60, **PLACE))
    assert first["Status"] == "FINISHED", first
    second = ended(data, data.execute_statement(Sql="SELECT v FROM kept", SessionId=first["SessionId"]))
    assert data.get_statement_result(Id=second["Id"])["Records"] == [[{"longValue": 7}]]
    assert execute(data, "SELECT v FROM kept")["Status"] == "FAILED"


def test_a_session_takes_one_statement_at_a_time_and_ends(lab, data):
    lab.page("POST", "/hold", {"kind": "statement", "match": "hold the session"})
    call = data.execute_statement(Sql="SELECT 1 /* hold the session */", SessionKeepAliveSeconds=1, **PLACE)
    again = {"Sql": "SELECT 1", "SessionId": call["SessionId"]}
    assert error(lambda: data.execute_statement(**again))[0] == "ActiveSessionsExceededException"
    lab.page("DELETE", "/hold")
    ended(data, call)

    def expired():
        try:
            ended(data, data.execute_statement(**again, SessionKeepAliveSeconds=0))
        except ClientError as problem:
            return problem.response["Error"]["Code"] == "ValidationException"

    assert until(expired, "the session ends")


def test_statements_are_listed_newest_first_by_name(data):
    name = f"listed-{uuid.uuid4().hex[:8]}"
    made = [execute(data, f"SELECT {n}", StatementName=name)["Id"] for n in range(3)]
    listed = data.list_statements(StatementName=name, MaxResults=2, Status="ALL")
    assert [one["Id"] for one in listed["Statements"]] == [made[2], made[1]]
    rest = data.list_statements(StatementName=name, MaxResults=2, Status="ALL", NextToken=listed["NextToken"])
    assert [one["Id"] for one in rest["Statements"]] == [made[0]]


def test_a_wrong_password_in_the_secret_fails_the_statement(lab, data):
    name = f"wrong-{uuid.uuid4().hex[:8]}"
    lab.client("secretsmanager").create_secret(Name=name, SecretString='{"username": "demo", "password": "no"}')
    done = execute(data, "SELECT 1", SecretArn=name)
    assert done["Status"] == "FAILED" and "password authentication failed" in done["Error"]


def test_what_the_lab_lacks_is_refused(data):
    code, text = error(lambda: data.execute_statement(Sql="SELECT 1", WithEvent=True, **PLACE))
    assert code == "ValidationException" and "does not support WithEvent here yet" in text


def test_the_seeded_cluster_can_be_paused_and_resumed(lab):
    redshift = lab.client("redshift")
    states = []
    for call in (redshift.pause_cluster, redshift.resume_cluster):
        call(ClusterIdentifier="sample-cluster")
        states.append(redshift.describe_clusters(ClusterIdentifier="sample-cluster")["Clusters"][0]["ClusterStatus"])
    assert states == ["paused", "available"]


def test_a_cluster_statement_runs_as_the_db_user(data):
    done = ended(data, data.execute_statement(Sql="SELECT current_user", ClusterIdentifier="sample-cluster", Database="dev", DbUser="anna"))
    assert data.get_statement_result(Id=done["Id"])["Records"] == [[{"stringValue": "IAM:anna"}]]


def test_another_account_does_not_see_the_statement(lab, data):
    done = execute(data, "SELECT 1")
    other = lab.client("redshift-data", lab.assume("etl-demo-s3-access"))
    assert error(lambda: other.describe_statement(Id=done["Id"]))[0] == "ResourceNotFoundException"


def test_temporary_credentials_really_connect(lab):
    import psycopg

    serverless = lab.client("redshift-serverless").get_credentials(workgroupName="sample-workgroup", dbName="dev")
    cluster = lab.client("redshift").get_cluster_credentials(DbUser="bea", DbName="dev", ClusterIdentifier="sample-cluster", AutoCreate=True)
    place = lab.endpoints["redshift"]
    for user, password in ((serverless["dbUser"], serverless["dbPassword"]), (cluster["DbUser"], cluster["DbPassword"])):
        with psycopg.connect(host=place["host"], port=place["port"], user=user, password=password, dbname="dev") as connection:
            assert connection.execute("SELECT current_user").fetchone() == (user,)
            connection.execute("SELECT count(*) FROM products_f")
