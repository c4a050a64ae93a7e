"""The WSGI application: /lab/… for people, the lab's own operations, and moto for everything else."""

from __future__ import annotations

import http
import io
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from windrose_lab.accounts import Accounts
from windrose_lab.aws_answer import Answer, AwsError, error_answer, json_answer
from windrose_lab.aws_request import AwsRequest, Environ, parse
from windrose_lab.faults import FaultRule, Faults
from windrose_lab.journal import Journal

Operation = Callable[[AwsRequest], dict[str, Any] | Answer]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
LabPages = Callable[[Environ, bytes], Answer]


class Moto:
    """moto's server as a function from request to answer."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)

    def answer(self, request: AwsRequest) -> Answer:
        environ = dict(request.environ)
        environ["wsgi.input"] = io.BytesIO(request.body)
        got: dict[str, Any] = {}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            got["status"], got["headers"] = status, headers
            return lambda data: None

        chunks = self._app(environ, start_response)
        try:
            body = b"".join(chunks)
        finally:
            close = getattr(chunks, "close", None)
            if close:
                close()
        return Answer(int(got["status"].split()[0]), body, list(got["headers"]))


class LabApplication:
    """Journal, then faults, then access, then the operation: in this order every call goes through."""

    def __init__(self, journal: Journal, faults: Faults, accounts: Accounts, moto: Moto, pages: LabPages) -> None:
        self._journal = journal
        self._faults = faults
        self._accounts = accounts
        self._moto = moto
        self._pages = pages
        self._operations: dict[tuple[str, str], Operation] = {}
        self._closed_services: set[str] = set()

    def serve(self, service: str, operations: dict[str, Operation], closed: bool = False) -> None:
        """Takes operations away from moto (a dict becomes a JSON answer); a closed service is the lab's alone."""
        self._operations.update({(service, name): operation for name, operation in operations.items()})
        if closed:
            self._closed_services.add(service)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if path == "/lab" or path.startswith("/lab/"):
            length = int(environ.get("CONTENT_LENGTH") or 0)
            answer = self._pages(environ, environ["wsgi.input"].read(length) if length else b"")
        else:
            answer = self._aws(parse(environ), internal=path.startswith(("/moto-api", "/favicon")))
        reason = http.HTTPStatus(answer.status).phrase if answer.status in http.HTTPStatus._value2member_map_ else "Unknown"
        headers = answer.headers
        if environ.get("REQUEST_METHOD") != "HEAD":
            headers = [item for item in headers if item[0].lower() != "content-length"]
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} {reason}", headers)
        return [answer.body]

    def _aws(self, request: AwsRequest, internal: bool) -> Answer:
        if internal:
            return self._moto.answer(request)
        entry = self._journal.call(request)
        rule = self._faults.strike(request)
        try:
            answer = self._with_fault(request, rule)
        except AwsError as error:
            entry["error"] = error.code
            answer = error_answer(request.service, request.method, error)
        except Exception as problem:
            traceback.print_exc(file=sys.stderr)
            entry["error"] = "InternalFailure"
            failure = AwsError("InternalFailure", f"The lab failed: {type(problem).__name__}", 500)
            answer = error_answer(request.service, request.method, failure)
        entry["status"] = answer.status
        return answer

    def _with_fault(self, request: AwsRequest, rule: FaultRule | None) -> Answer:
        if rule and rule.delay_ms:
            time.sleep(rule.delay_ms / 1000)
        if rule and rule.code and rule.when == "before":
            raise AwsError(rule.code, rule.message, rule.status)
        answer = self._carry_out(request)
        if rule and rule.code:
            raise AwsError(rule.code, rule.message, rule.status)
        return answer

    def _carry_out(self, request: AwsRequest) -> Answer:
        self._accounts.check_request(request)
        operation = self._operations.get((request.service, request.operation))
        if operation is not None:
            result = operation(request)
            return result if isinstance(result, Answer) else json_answer(result)
        if request.service in self._closed_services:
            message = f"The lab's {request.service} does not support {request.operation} yet."
            raise AwsError("UnknownOperationException", message, 400)
        return self._moto.answer(request)
