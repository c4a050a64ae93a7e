"""Two accounts: a bucket answers the roles it names, and nobody else."""

import pytest
from botocore.exceptions import ClientError
from conftest import SOURCE, TARGET


def refused(call):
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_the_other_accounts_bucket_refuses_the_workers_own_keys(lab):
    own = lab.client("s3")
    assert refused(lambda: own.put_object(Bucket=TARGET, Key="x", Body=b"1")) == ("AccessDenied", 403)
    assert refused(lambda: own.list_objects_v2(Bucket=TARGET)) == ("AccessDenied", 403)
    assert refused(lambda: own.head_object(Bucket=TARGET, Key="x")) == ("403", 403)


def test_the_source_bucket_lets_the_workers_keys_read_but_not_write(lab, day_file):
    own = lab.client("s3")
    assert own.head_object(Bucket=SOURCE, Key=day_file)["ContentLength"] > 0
    assert refused(lambda: own.delete_object(Bucket=SOURCE, Key=day_file)) == ("AccessDenied", 403)


def test_the_granted_role_reads_and_writes(lab, target):
    granted = lab.granted_s3()
    granted.put_object(Bucket=target, Key="a", Body=b"1")
    assert granted.get_object(Bucket=target, Key="a")["Body"].read() == b"1"


def test_another_role_of_the_owning_account_is_refused(lab):
    other = lab.client("s3", lab.assume("etl-demo-no-access"))
    assert refused(lambda: other.list_objects_v2(Bucket=SOURCE)) == ("AccessDenied", 403)


def test_copying_out_of_a_bucket_needs_the_right_to_read_it(lab, target):
    lab.granted_s3().put_object(Bucket=target, Key="secret", Body=b"1")
    own = lab.client("s3")
    own.create_bucket(Bucket="copies-of-the-worker")
    copy = {"Bucket": target, "Key": "secret"}
    assert refused(lambda: own.copy_object(Bucket="copies-of-the-worker", Key="x", CopySource=copy)) == ("AccessDenied", 403)


def test_a_role_that_does_not_exist_cannot_be_assumed(lab):
    assert refused(lambda: lab.assume("arn:aws:iam::111122223333:role/nobody")) == ("AccessDenied", 403)


def test_an_external_id_is_insisted_on(lab, day_file):
    assert refused(lambda: lab.assume("etl-demo-external")) == ("AccessDenied", 403)
    keys = lab.assume("etl-demo-external", ExternalId="windrose-demo")
    assert lab.client("sts", keys).get_caller_identity()["Account"] == "111122223333"
    assert lab.client("s3", keys).head_object(Bucket=SOURCE, Key=day_file)["ContentLength"] > 0
