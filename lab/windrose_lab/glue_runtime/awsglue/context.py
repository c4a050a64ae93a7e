"""`GlueContext`, for the scripts that make one only to make a Job."""


class GlueContext:
    def __init__(self, spark_context=None, **options):
        self.spark_session = None

    def __getattr__(self, name):
        raise AttributeError(f"The lab's GlueContext has no Spark, so {name!r} is not supported yet; use boto3 or psycopg.")
