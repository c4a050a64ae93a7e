"""What functions that look at the rows of SQL statements are given."""

import itertools


class Cursor:
    """The rows of a statement that has run, as a DB-API cursor gives them. Values are those that JSON has."""

    arraysize = 1

    def __init__(self, answer):
        self.description = description(answer["columns"] if answer["rows"] is not None else None)
        self.rowcount = answer["affected"]
        self._rows = iter([tuple(row) for row in answer["rows"] or []])

    def _results(self):
        if self.description is None:
            raise RuntimeError("the statement has no result set, so there is nothing to fetch")
        return self._rows

    def fetchone(self):
        return next(self._results(), None)

    def fetchmany(self, size=None):
        return list(itertools.islice(self._results(), size or self.arraysize))

    def fetchall(self):
        return list(self._results())

    def __iter__(self):
        return self._results()

    def close(self):
        self._rows = iter(())


def description(columns):
    """DB-API's seven facts of each column, of which only the name and the type's number are known."""
    if columns is None:
        return None
    return [(column["name"], column["type_code"], None, None, None, None, None) for column in columns]


def call(function, task):
    """A handler is called with a cursor for each statement, an output_processor once with all results."""
    if "answers" in task:
        return [function(Cursor(answer)) for answer in task["answers"]]
    return function(task["results"], [description(columns) for columns in task["columns"]])
