"""The Redshift Data API over PostgreSQL: validation, sessions, idempotency tokens, and the answers' shapes."""

from __future__ import annotations

import itertools
import re
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg

from windrose_lab.app import Operation
from windrose_lab.aws_answer import AwsError
from windrose_lab.aws_request import AwsRequest
from windrose_lab.holds import Holds
from windrose_lab.journal import Journal
from windrose_lab.postgres import Address
from windrose_lab.redshift_statement import TERMINAL, Statement, SubStatement, run
from windrose_lab.redshift_users import Login, RedshiftUsers, connect, secret_login

STATEMENT_ID = re.compile(r"^[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d+)?$")
PARAMETER_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
PLACE_FIELDS = ("ClusterIdentifier", "WorkgroupName", "SessionId")
SHOWN_FIELDS = ("ClusterIdentifier", "WorkgroupName", "Database", "SecretArn", "DbUser")
KNOWN_PARAMETERS = {*PLACE_FIELDS, *SHOWN_FIELDS, "Sql", "Sqls", "Parameters", "ClientToken", "StatementName", "SessionKeepAliveSeconds",
                    "WithEvent", "ResultFormat"}
LARGEST_BATCH = 40
PAGE_ROWS = 1_000
LONGEST_KEEP_ALIVE = 86_400
TOKEN_SECONDS = 8 * 3_600


def invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


@dataclass
class Session:
    """A connection kept between statements until `ends` (epoch seconds); `busy` while one runs on it."""

    id: str
    account: str
    given: dict[str, Any]
    login: Login
    keep_alive: int
    ends: float
    connection: psycopg.Connection | None = None
    busy: bool = False


class DataApi:
    def __init__(self, address: Address, users: RedshiftUsers, holds: Holds, journal: Journal) -> None:
        self._address = address
        self._users = users
        self._holds = holds
        self._journal = journal
        self._lock = threading.Lock()
        self._statements: dict[str, Statement] = {}
        self._sessions: dict[str, Session] = {}
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._query_ids = itertools.count(1_000)

    def operations(self) -> dict[str, Operation]:
        return {
            "ExecuteStatement": lambda request: self._execute(request, batch=False),
            "BatchExecuteStatement": lambda request: self._execute(request, batch=True),
            "DescribeStatement": self.describe_statement,
            "GetStatementResult": self.get_statement_result,
            "CancelStatement": self.cancel_statement,
            "ListStatements": self.list_statements,
        }

    def _execute(self, request: AwsRequest, batch: bool) -> dict[str, Any]:
        given = request.document()
        unknown = sorted(name for name in given if name not in KNOWN_PARAMETERS or (name == "WithEvent" and given[name]))
        if unknown or given.get("ResultFormat", "JSON") != "JSON":
            raise invalid(f"The lab does not support {(unknown or ['ResultFormat'])[0]} here yet.")
        sqls = self._texts(given, batch)
        parameters = self._parameters(given, sqls)
        token = given.get("ClientToken")
        with self._lock:
            known = self._tokens.get((request.account, str(token))) if token else None
            if known and known[1] > time.time():
                return self._started(self._statements[known[0]])
        place, login, session = self._where(request, given)
        statement = self._new_statement(request, {**given, **place}, sqls, parameters, login, batch, session)
        with self._lock:
            # The same token again may have come in meanwhile: the first statement stands for both.
            known = self._tokens.get((request.account, str(token))) if token else None
            if known and known[1] > time.time():
                return self._started(self._statements[known[0]])
            if token:
                self._tokens[request.account, str(token)] = (statement.id, time.time() + TOKEN_SECONDS)
            self._statements[statement.id] = statement
            if session:
                self._take_session(session)
        threading.Thread(target=self._run, args=(statement, login, session), daemon=True).start()
        return self._started(statement)

    @staticmethod
    def _texts(given: dict[str, Any], batch: bool) -> list[str]:
        sqls = given.get("Sqls") if batch else [given.get("Sql")]
        if not sqls or not all(isinstance(sql, str) and sql.strip() for sql in sqls):
            raise invalid(f"{'Sqls' if batch else 'Sql'} must not be empty.")
        if len(sqls) > LARGEST_BATCH:
            raise invalid(f"Sqls must have length less than or equal to {LARGEST_BATCH}")
        return list(sqls)

    @staticmethod
    def _parameters(given: dict[str, Any], sqls: list[str]) -> list[dict[str, str]]:
        parameters = given.get("Parameters") or []
        for parameter in parameters:
            name = str(parameter.get("name", ""))
            if not PARAMETER_NAME.match(name):
                raise invalid(f"Parameter name {name!r} is not valid.")
            if not any(re.search(rf"(?<!:):{name}\b", sql) for sql in sqls):
                raise invalid(f"Parameters list contains unused parameters. Unused parameters: [{name}]")
        return list(parameters)

    def _where(self, request: AwsRequest, given: dict[str, Any]) -> tuple[dict[str, Any], Login, Session | None]:
        """Database, user and session of a request, refused where AWS refuses it."""
        places = [name for name in PLACE_FIELDS if given.get(name)]
        if len(places) != 1:
            raise invalid("Exactly one of ClusterIdentifier, WorkgroupName or SessionId is required.")
        keep_alive = given.get("SessionKeepAliveSeconds")
        if keep_alive is not None and not 0 <= int(keep_alive) <= LONGEST_KEEP_ALIVE:
            raise invalid(f"SessionKeepAliveSeconds must be between 0 and {LONGEST_KEEP_ALIVE}.")
        if given.get("SessionId"):
            return self._in_session(request, given)
        if not given.get("Database"):
            raise invalid("Database is required when connecting to a cluster or a workgroup.")
        workgroup, cluster = given.get("WorkgroupName"), given.get("ClusterIdentifier")
        unknown_cluster = cluster and not self._users.has_cluster(request, str(cluster))
        if (workgroup and workgroup not in self._users.workgroups) or unknown_cluster:
            raise invalid("Redshift endpoint doesn't exist in this region.")
        login = self._login(request, given)
        session = None
        if keep_alive:
            ends = time.time() + int(keep_alive)
            session = Session(str(uuid.uuid4()), request.account, dict(given), login, int(keep_alive), ends)
            with self._lock:
                self._sessions[session.id] = session
        return {}, login, session

    def _login(self, request: AwsRequest, given: dict[str, Any]) -> Login:
        if given.get("SecretArn"):
            return secret_login(request.account, request.region, str(given["SecretArn"]))
        if given.get("DbUser"):
            if given.get("WorkgroupName"):
                raise invalid("DbUser is not supported for serverless workgroups.")
            return self._users.temporary(f"IAM:{given['DbUser']}", 3_600)[0]
        return self._users.temporary(self._users.iam_user(request), 3_600)[0]

    def _in_session(self, request: AwsRequest, given: dict[str, Any]) -> tuple[dict[str, Any], Login, Session]:
        extra = [name for name in ("Database", "SecretArn", "DbUser") if given.get(name)]
        if extra:
            raise invalid(f"{extra[0]} cannot be given together with SessionId.")
        with self._lock:
            session = self._sessions.get(str(given["SessionId"]))
            if session is None or session.account != request.account or (not session.busy and session.ends < time.time()):
                raise invalid(f"Session {given['SessionId']} does not exist or has expired.")
            if session.busy:
                raise AwsError("ActiveSessionsExceededException", f"Session {session.id} is already running a statement.")
            if given.get("SessionKeepAliveSeconds") is not None:
                session.keep_alive = int(given["SessionKeepAliveSeconds"])
        place = {name: session.given[name] for name in SHOWN_FIELDS if session.given.get(name)}
        return place, session.login, session

    @staticmethod
    def _take_session(session: Session) -> None:
        if session.busy:
            raise AwsError("ActiveSessionsExceededException", f"Session {session.id} is already running a statement.")
        session.busy = True

    def _new_statement(
        self, request: AwsRequest, given: dict[str, Any], sqls: list[str], parameters: list[dict[str, str]], login: Login, batch: bool,
        session: Session | None,
    ) -> Statement:
        main = SubStatement(str(uuid.uuid4()), "" if batch else sqls[0])
        parts = [SubStatement(f"{main.id}:{number}", sql) for number, sql in enumerate(sqls, start=1)]
        for part in parts:
            part.query_id = next(self._query_ids)
            self._journal.sql("data-api", login.user, str(given.get("Database", "")), part.sql)
        return Statement(main, parts, batch, request.account, given, login.user, session.id if session else None, parameters)

    @staticmethod
    def _started(statement: Statement) -> dict[str, Any]:
        shown = {name: statement.given[name] for name in SHOWN_FIELDS if statement.given.get(name)}
        session = {"SessionId": statement.session_id} if statement.session_id else {}
        return {"Id": statement.id, "CreatedAt": statement.main.created, "DbGroups": [], **shown, **session}

    def _run(self, statement: Statement, login: Login, session: Session | None) -> None:
        def open_connection() -> psycopg.Connection:
            if session is None:
                return connect(self._address, login, str(statement.given.get("Database", "")))
            if session.connection is None:
                session.connection = connect(self._address, login, str(session.given.get("Database", "")))
            return session.connection

        def wait() -> None:
            self._holds.wait("statement", statement.id, "\n".join(part.sql for part in statement.parts), statement.cancel.is_set)

        run(statement, open_connection, wait, close=session is None)
        if session:
            with self._lock:
                session.busy, session.ends = False, time.time() + session.keep_alive
            timer = threading.Timer(session.keep_alive + 0.1, self._end_session, args=(session,))
            timer.daemon = True
            timer.start()

    def _end_session(self, session: Session) -> None:
        with self._lock:
            if session.busy or session.ends > time.time():
                return
            self._sessions.pop(session.id, None)
        if session.connection:
            session.connection.close()

    def _find(self, request: AwsRequest, statement_id: str) -> tuple[Statement, SubStatement]:
        if not STATEMENT_ID.match(statement_id):
            raise invalid(r"id must satisfy regex pattern: ^[a-z0-9]{8}(-[a-z0-9]{4}){3}-[a-z0-9]{12}(:\d+)?$")
        with self._lock:
            statement = self._statements.get(statement_id.partition(":")[0])
        part = statement.find(statement_id) if statement and statement.account == request.account else None
        if statement is None or part is None:
            raise AwsError("ResourceNotFoundException", "Query does not exist.", members={"ResourceId": statement_id})
        return statement, part

    def describe_statement(self, request: AwsRequest) -> dict[str, Any]:
        statement, part = self._find(request, str(request.document().get("Id", "")))
        shown = part.outcome()
        shown.update({name: statement.given[name] for name in SHOWN_FIELDS if statement.given.get(name)})
        shown.update(RedshiftPid=statement.pid, ResultFormat="JSON")
        if statement.parameters:
            shown["QueryParameters"] = statement.parameters
        if statement.session_id:
            shown["SessionId"] = statement.session_id
        if statement.batch and part is statement.main:
            shown.pop("QueryString")
            shown["SubStatements"] = [one.outcome() for one in statement.parts]
            shown["HasResultSet"] = any(one.result for one in statement.parts)
        return shown

    def get_statement_result(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        _, part = self._find(request, str(given.get("Id", "")))
        if part.status not in TERMINAL:
            raise invalid(f"Query is not finished yet: its status is {part.status}. Please check query status with DescribeStatement.")
        if part.result is None:
            message = "Query does not have result. Please check query status with DescribeStatement."
            raise AwsError("ResourceNotFoundException", message, members={"ResourceId": part.id})
        start = _page_start(given.get("NextToken"))
        page = part.result.rows[start : start + PAGE_ROWS]
        answer = {"ColumnMetadata": part.result.columns, "Records": page, "TotalNumRows": len(part.result.rows)}
        if start + PAGE_ROWS < len(part.result.rows):
            answer["NextToken"] = str(start + PAGE_ROWS)
        return answer

    def cancel_statement(self, request: AwsRequest) -> dict[str, Any]:
        statement, _ = self._find(request, str(request.document().get("Id", "")).partition(":")[0])
        if statement.main.status in TERMINAL:
            raise invalid(f"Could not cancel a query that is already in {statement.main.status} state with ID: {statement.id}")
        statement.cancel.set()
        threading.Thread(target=self._cancel, args=(statement,), daemon=True).start()
        return {"Status": True}

    @staticmethod
    def _cancel(statement: Statement) -> None:
        """Repeats the cancel until it takes: one that arrives between two statements is lost in PostgreSQL."""
        while statement.main.status not in TERMINAL:
            connection = statement.connection
            if connection is not None:
                connection.cancel()
            time.sleep(0.02)

    def list_statements(self, request: AwsRequest) -> dict[str, Any]:
        given = request.document()
        wanted, name = given.get("Status", "ALL"), given.get("StatementName")
        with self._lock:
            mine = [one for one in self._statements.values() if one.account == request.account]
        mine = [one for one in mine if wanted in ("ALL", one.main.status) and (not name or str(one.given.get("StatementName", "")).startswith(name))]
        for field in ("ClusterIdentifier", "WorkgroupName", "Database"):
            if given.get(field):
                mine = [one for one in mine if one.given.get(field) == given[field]]
        mine.sort(key=lambda one: one.main.created, reverse=True)
        start, size = _page_start(given.get("NextToken")), int(given.get("MaxResults") or 100)
        answer: dict[str, Any] = {"Statements": [_listed(one) for one in mine[start : start + size]]}
        if start + size < len(mine):
            answer["NextToken"] = str(start + size)
        return answer


def _listed(statement: Statement) -> dict[str, Any]:
    main = statement.main
    shown: dict[str, Any] = {"Id": main.id, "Status": main.status, "CreatedAt": main.created, "UpdatedAt": main.updated,
                             "IsBatchStatement": statement.batch, "ResultFormat": "JSON"}
    shown["QueryStrings" if statement.batch else "QueryString"] = [part.sql for part in statement.parts] if statement.batch else main.sql
    for key, value in (("StatementName", statement.given.get("StatementName")), ("SecretArn", statement.given.get("SecretArn")),
                       ("QueryParameters", statement.parameters), ("SessionId", statement.session_id)):
        if value:
            shown[key] = value
    return shown


def _page_start(token: Any) -> int:
    if not token:
        return 0
    if not str(token).isdigit():
        raise invalid("NextToken is not valid.")
    return int(token)
