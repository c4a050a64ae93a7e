"""The few names that tasks import from Airflow, for interpreters that do not have it."""
