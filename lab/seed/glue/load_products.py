"""Loads the day's product files from S3 into Redshift's table `products`.

Arguments: --source (s3://bucket/prefix of the files), --secret_id (the Redshift secret), --table, --iam_role (for COPY).
All have defaults, so the job also runs without arguments and then loads every file there is.
"""

import json
import sys

import boto3
import psycopg
from awsglue.job import Job
from awsglue.utils import getResolvedOptions

DEFAULTS = {
    "source": "s3://sample-inp-bucket-etl-demo/products/",
    "secret_id": "redshift/demo",
    "table": "products",
    "iam_role": "arn:aws:iam::123456789012:role/service-role/AmazonRedshift-lab",
}


def main():
    given = [name for name in DEFAULTS if f"--{name}" in sys.argv]
    options = {**DEFAULTS, **getResolvedOptions(sys.argv, ["JOB_NAME", *given])}
    job = Job()
    job.init(options["JOB_NAME"], options)
    secret = json.loads(boto3.client("secretsmanager").get_secret_value(SecretId=options["secret_id"])["SecretString"])
    print(f"Loading {options['source']} into {options['table']}")
    with psycopg.connect(
        host=secret["host"], port=secret["port"], user=secret["username"], password=secret["password"], dbname=secret["dbname"]
    ) as connection:
        # One transaction: a run that is repeated leaves the same rows.
        connection.execute(f"DELETE FROM {options['table']}")
        connection.execute(f"COPY {options['table']} FROM '{options['source']}' IAM_ROLE '{options['iam_role']}' CSV IGNOREHEADER 1")
        (rows,) = connection.execute(f"SELECT count(*) FROM {options['table']}").fetchone()
    print(f"Loaded {rows} rows")
    job.commit()


main()
