"""UNLOAD and COPY over the wire and through the Data API, with real objects."""

import gzip
import json

import psycopg
import pytest
from conftest import SOURCE, TARGET, until


@pytest.fixture
def role(lab):
    return f"IAM_ROLE '{lab.roles['AmazonRedshift-lab']}'"


@pytest.fixture
def wire(lab):
    with lab.sql() as connection:
        connection.execute("CREATE TEMP TABLE t (id int, name varchar(50)); INSERT INTO t VALUES (1, 'one'), (2, 'tw|o, \"x\"'), (3, NULL)")
        yield connection


def objects(lab):
    granted = lab.granted_s3()
    found = granted.list_objects_v2(Bucket=TARGET).get("Contents", [])
    return {one["Key"]: granted.get_object(Bucket=TARGET, Key=one["Key"])["Body"].read() for one in found}


def test_unload_writes_pipes_without_quotes_by_default(lab, wire, role, target):
    wire.execute(f"UNLOAD ('SELECT * FROM t WHERE name = ''one'' ') TO 's3://{target}/d/' {role}")
    assert objects(lab) == {"d/0000_part_00": b"1|one\n"}


def test_unload_csv_has_header_quotes_and_one_file(lab, wire, role, target):
    wire.execute(f"unload ($$SELECT * FROM t ORDER BY id$$) to 's3://{target}/c_' {role} FORMAT AS CSV HEADER PARALLEL OFF")
    assert objects(lab) == {"c_000": b'id,name\n1,one\n2,"tw|o, ""x"""\n3,\n'}


def test_unload_gzip_delimiter_and_manifest(lab, wire, role, target):
    wire.execute(f"UNLOAD ($$SELECT id, id * 2 FROM t ORDER BY 1$$) TO 's3://{target}/z_' {role} DELIMITER AS ';' GZIP MANIFEST PARALLEL OFF")
    found = objects(lab)
    assert gzip.decompress(found["z_000.gz"]) == b"1;2\n2;4\n3;6\n"
    assert json.loads(found["z_manifest"]) == {"entries": [{"url": f"s3://{target}/z_000.gz"}]}


def test_unload_refuses_a_place_that_is_not_empty_unless_told(lab, wire, role, target):
    unload = f"UNLOAD ($$SELECT id FROM t WHERE id = %s$$) TO 's3://{target}/n_' {role} PARALLEL OFF"
    wire.execute(unload.replace("%s", "1"))
    with pytest.raises(psycopg.Error, match="Specified unload destination on S3 is not empty"):
        wire.execute(unload.replace("%s", "2"))
    wire.execute(unload.replace("%s", "2") + " ALLOWOVERWRITE")
    assert objects(lab) == {"n_000": b"2\n"}
    lab.granted_s3().put_object(Bucket=target, Key="n_old", Body=b"old")
    wire.execute(unload.replace("%s", "3") + " CLEANPATH")
    assert objects(lab) == {"n_000": b"3\n"}


def test_unload_sees_the_rows_of_its_own_transaction(lab, wire, role, target):
    with wire.transaction():
        wire.execute("INSERT INTO t VALUES (4, 'four')")
        wire.execute(f"UNLOAD ($$SELECT max(id) FROM t$$) TO 's3://{target}/m' {role} PARALLEL OFF")
    assert objects(lab) == {"m000": b"4\n"}


def test_unload_tells_how_many_rows_went_out(wire, role, target):
    notices = []
    wire.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    wire.execute(f"UNLOAD ($$SELECT * FROM t$$) TO 's3://{target}/r' {role}")
    assert notices == ["UNLOAD completed, 3 record(s) unloaded successfully."]
    assert wire.execute("SELECT pg_last_unload_count()").fetchone() == (3,)


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ("credentials 'aws_access_key_id=AKIAOTHER;aws_secret_access_key=x'", "S3ServiceException:Access Denied,Status 403"),
        ("IAM_ROLE 'arn:aws:iam::111122223333:role/etl-demo-no-access'", "S3ServiceException:Access Denied,Status 403"),
        ("IAM_ROLE 'arn:aws:iam::123456789012:role/unknown'", "is not authorized to assume IAM Role"),
    ],
)
def test_unload_acts_with_the_rights_named_in_it(wire, target, credentials, message):
    with pytest.raises(psycopg.Error, match=message):
        wire.execute(f"UNLOAD ($$SELECT 1$$) TO 's3://{target}/x' {credentials}")


def test_unload_works_with_a_roles_temporary_keys(lab, wire, target):
    key, secret, token = lab.assume("etl-demo-s3-access")
    block = f"aws_access_key_id={key};aws_secret_access_key={secret};token={token}"
    wire.execute(f"UNLOAD ($$SELECT 1$$) TO 's3://{target}/k' credentials '{block}' PARALLEL OFF;")
    assert objects(lab) == {"k000": b"1\n"}
    seen = json.dumps(lab.journal())
    assert secret not in seen and token not in seen


def test_unload_to_a_bucket_that_is_not_there_fails(wire, role):
    with pytest.raises(psycopg.Error, match="The specified bucket does not exist,Status 404"):
        wire.execute(f"UNLOAD ($$SELECT 1$$) TO 's3://no-such-bucket-here/x' {role}")


def test_an_option_the_lab_lacks_is_refused(wire, role, target):
    with pytest.raises(psycopg.Error, match="does not support PARQUET in UNLOAD yet"):
        wire.execute(f"UNLOAD ($$SELECT 1$$) TO 's3://{target}/x' {role} FORMAT PARQUET")


def test_copy_loads_a_prefix_with_header_and_column_list(lab, wire, role):
    granted = lab.granted_s3()
    granted.put_object(Bucket=SOURCE, Key="copy/a.csv", Body=b"name,id\nzoe,7\n")
    granted.put_object(Bucket=SOURCE, Key="copy/b.csv", Body=b'name,id\n"a,b",8')
    wire.execute(f"COPY t (name, id) FROM 's3://{SOURCE}/copy/' {role} CSV IGNOREHEADER 1 REGION 'us-east-1'")
    assert wire.execute("SELECT id, name FROM t WHERE id > 6 ORDER BY 1").fetchall() == [(7, "zoe"), (8, "a,b")]


def test_copy_reads_gzip_through_a_manifest(lab, wire, role):
    granted = lab.granted_s3()
    granted.put_object(Bucket=SOURCE, Key="m/x.gz", Body=gzip.compress(b"9|nine\n"))
    manifest = {"entries": [{"url": f"s3://{SOURCE}/m/x.gz", "mandatory": True}]}
    granted.put_object(Bucket=SOURCE, Key="m/manifest", Body=json.dumps(manifest).encode())
    wire.execute(f"COPY t FROM 's3://{SOURCE}/m/manifest' {role} GZIP MANIFEST")
    assert wire.execute("SELECT name FROM t WHERE id = 9").fetchone() == ("nine",)


def test_copy_rolls_back_with_its_transaction(lab, wire, role):
    lab.granted_s3().put_object(Bucket=SOURCE, Key="rb/a.csv", Body=b"70,x\n")
    with pytest.raises(psycopg.errors.DivisionByZero), wire.transaction():
        wire.execute(f"COPY t FROM 's3://{SOURCE}/rb/' {role} CSV")
        wire.execute("SELECT 1 / 0")
    assert wire.execute("SELECT count(*) FROM t WHERE id = 70").fetchone() == (0,)


def test_copy_of_a_bad_value_fails_in_redshifts_words_and_keeps_the_reason(lab, wire, role):
    lab.granted_s3().put_object(Bucket=SOURCE, Key="bad/a.csv", Body=b"1,x\nnot-a-number,y\n")
    with pytest.raises(psycopg.Error, match="Load into table 't' failed.  Check 'stl_load_errors' system table for details."):
        wire.execute(f"COPY t FROM 's3://{SOURCE}/bad/' {role} CSV")
    row = wire.execute("SELECT filename, line_number, colname, raw_field_value, err_reason FROM stl_load_errors "
                       "WHERE session = pg_backend_pid()").fetchone()
    assert row == (f"s3://{SOURCE}/bad/a.csv", 2, "id", "not-a-number", "Invalid digit, Value 'n', Pos 0, Type: Integer")


@pytest.mark.parametrize(
    ("rows", "column", "value", "reason"),
    [
        (b"1,2026-01-02,a,x\n2,n/a,b,x\n", "d", "n/a", "Invalid Date Format - length must be 10 or more"),
        (b"1,2026-01-02,a,x\n2,2026-01-02,too long,x\n", "v", "too long", "String length exceeds DDL length"),
        (b"1,2026-01-02,a,x\n2,2026-01-02,b,\n", "n", None, "Missing data for not-null field"),
        (b"1,2026-01-02,a,x\n2,2026-01-02\n", "v", None, "Delimiter not found"),
        (b"1,2026-01-02,a,x\n2,2026-01-02,b,x,more\n", None, None, "Extra column(s) found"),
    ],
)
def test_the_reason_names_file_and_line_with_the_header_counted(lab, wire, role, rows, column, value, reason):
    granted = lab.granted_s3()
    granted.put_object(Bucket=SOURCE, Key="reasons/1.csv", Body=b"id,d,v,n\n8,2026-01-02,z,x\n9,2026-01-02,z,x")
    granted.put_object(Bucket=SOURCE, Key="reasons/2.csv", Body=b"id,d,v,n\n" + rows)
    wire.execute("CREATE TEMP TABLE r (id int, d date, v varchar(3), n varchar(9) NOT NULL)")
    with pytest.raises(psycopg.Error, match="stl_load_errors"):
        wire.execute(f"COPY r FROM 's3://{SOURCE}/reasons/' {role} CSV IGNOREHEADER 1")
    row = wire.execute("SELECT filename, line_number, colname, raw_field_value, err_reason FROM stl_load_errors "
                       "WHERE session = pg_backend_pid()").fetchone()
    assert row == (f"s3://{SOURCE}/reasons/2.csv", 3, column, value, reason)


def test_copy_of_nothing_fails(wire, role):
    with pytest.raises(psycopg.Error, match="The specified S3 prefix 'nothing/' does not exist"):
        wire.execute(f"COPY t FROM 's3://{SOURCE}/nothing/' {role} CSV")


def test_an_upsert_through_a_hash_table_works(lab, wire, role):
    lab.granted_s3().put_object(Bucket=SOURCE, Key="up/a.csv", Body=b"1,uno\n10,ten\n")
    wire.execute("CREATE TABLE #t (LIKE t INCLUDING DEFAULTS)")
    wire.execute(f"COPY #t FROM 's3://{SOURCE}/up/' {role} CSV")
    wire.execute("BEGIN; DELETE FROM t USING #t WHERE t.id = #t.id; INSERT INTO t SELECT * FROM #t; COMMIT;")
    assert wire.execute("SELECT id, name FROM t WHERE id IN (1, 10) ORDER BY 1").fetchall() == [(1, "uno"), (10, "ten")]


def test_redshifts_ddl_and_functions_are_understood(wire):
    wire.execute(
        "CREATE TEMP TABLE r (id bigint IDENTITY(1,1), v varchar(max) ENCODE zstd, d super) DISTSTYLE KEY DISTKEY(id) COMPOUND SORTKEY (id, v)"
    )
    wire.execute("INSERT INTO r (v) VALUES ('x')")
    row = wire.execute("SELECT id, NVL(d::text, 'none'), len(v), GETDATE() <= SYSDATE, DATEADD(day, 2, '2026-01-30'::date)::date::text, "
                       "DATEDIFF(day, '2026-01-01'::date, '2026-02-01'::date), 'NVL(#x)' FROM r").fetchone()
    assert row == (1, "none", 1, True, "2026-02-01", 31, "NVL(#x)")


def test_the_data_api_unloads_too(lab, role, target):
    data = lab.client("redshift-data")
    sql = f"UNLOAD ($$SELECT generate_series(1, 5)$$) TO 's3://{target}/api_' {role} PARALLEL OFF"
    call = data.execute_statement(WorkgroupName="sample-workgroup", Database="dev", Sql=sql)
    done = until(lambda: (d := data.describe_statement(Id=call["Id"]))["Status"] in ("FINISHED", "FAILED") and d, "unload ends")
    assert (done["Status"], done["ResultRows"], done["HasResultSet"]) == ("FINISHED", 5, False), done
    assert objects(lab) == {"api_000": b"1\n2\n3\n4\n5\n"}


def test_the_data_api_names_the_query_whose_load_failed(lab, role):
    lab.granted_s3().put_object(Bucket=SOURCE, Key="bad_api/a.csv", Body=b"1,x\ny,y\n")
    data = lab.client("redshift-data")
    place = {"WorkgroupName": "sample-workgroup", "Database": "dev"}
    sqls = ["CREATE TEMP TABLE b (id int, name varchar(50))", f"COPY b FROM 's3://{SOURCE}/bad_api/' {role} CSV"]
    call = data.batch_execute_statement(Sqls=sqls, **place)
    done = until(lambda: (d := data.describe_statement(Id=call["Id"]))["Status"] == "FAILED" and d, "the copy fails")
    query = done["SubStatements"][1]["RedshiftQueryId"]
    ask = data.execute_statement(Sql=f"SELECT line_number, colname FROM stl_load_errors WHERE query = {query}", **place)
    until(lambda: data.describe_statement(Id=ask["Id"])["Status"] == "FINISHED", "the answer comes")
    assert data.get_statement_result(Id=ask["Id"])["Records"] == [[{"longValue": 2}, {"stringValue": "id"}]]
