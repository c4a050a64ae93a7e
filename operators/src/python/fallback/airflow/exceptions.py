"""Airflow's exceptions that mean something to the task that raises them."""


class AirflowException(Exception):
    """The task failed."""


class AirflowSkipException(AirflowException):
    """The task is to be skipped."""


class AirflowFailException(AirflowException):
    """The task failed and is not to be retried."""
