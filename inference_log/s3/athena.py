"""Runs statements in Athena, one after the other, and waits for each of them."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import boto3
from botocore.config import Config

from inference_log.athena.statement import Statement
from inference_log.errors import StatementFailed
from inference_log.s3.failures import ERRORS

_CONFIG = Config(connect_timeout=5.0, read_timeout=60.0, retries={"mode": "standard", "total_max_attempts": 5})
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 3.0
_WITHIN_S = 600.0
_RUNNING = frozenset({"QUEUED", "RUNNING"})


def connect_athena() -> Any:
    """Return a client of Athena, with the region and the credentials that boto3 finds.

    Raises:
        StatementFailed: no region is set.
    """
    try:
        return boto3.session.Session().client("athena", config=_CONFIG)
    except ERRORS as error:
        raise StatementFailed(f"Athena cannot be reached: {str(error).rstrip('.')}.") from error


class Athena:
    """Athena, with the database, workgroup and place of results that all statements get.

    `workgroup` and `output` may be empty: the primary workgroup, and the place that the workgroup names.
    """

    def __init__(
        self,
        client: Any,
        database: str,
        workgroup: str = "",
        output: str = "",
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._database = database
        self._where = {"WorkGroup": workgroup} if workgroup else {}
        self._output = {"ResultConfiguration": {"OutputLocation": output}} if output else {}

    def run(self, statements: Iterable[Statement], said: Callable[[str], None]) -> int:
        """Run statements in their order, and return how many. `said` is told the name of each one before.

        Raises:
            StatementFailed: one failed; those before it were run.
        """
        count = 0
        for statement in statements:
            said(statement.name)
            self._run(statement)
            count += 1
        return count

    def _run(self, statement: Statement) -> None:
        try:
            started = self._client.start_query_execution(
                QueryString=statement.sql,
                **({"QueryExecutionContext": {"Database": self._database}} if statement.in_database else {}),
                **self._where,
                **self._output,
            )
            status = self._wait(started["QueryExecutionId"])
        except ERRORS as error:
            raise StatementFailed(f"Athena did not run {statement.name}: {str(error).rstrip('.')}.") from error
        if status["State"] != "SUCCEEDED":
            why = str(status.get("StateChangeReason") or status["State"].lower()).rstrip(".")
            raise StatementFailed(f"Athena did not run {statement.name}: {why}.")

    def _wait(self, query: str) -> dict[str, Any]:
        pause_s, waited_s = _FIRST_PAUSE_S, 0.0
        while True:
            answer = self._client.get_query_execution(QueryExecutionId=query)
            status: dict[str, Any] = answer["QueryExecution"]["Status"]
            if status["State"] not in _RUNNING:
                return status
            if waited_s >= _WITHIN_S:
                return {
                    "State": status["State"],
                    "StateChangeReason": f"it still runs after {waited_s:.0f} s ({query})",
                }
            self._sleep(pause_s)
            waited_s, pause_s = waited_s + pause_s, min(2 * pause_s, _LONGEST_PAUSE_S)
