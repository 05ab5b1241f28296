"""`pointsman log ddl`: the statements that make Athena's tables and views of the log, printed or run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import errors_printed, print_json, say
from gateway.cli.settings_flags import Home, read_settings

if TYPE_CHECKING:  # slow to import, and not needed to show the help
    from gateway.settings import Settings
    from inference_log.athena.statement import Statement


@errors_printed()
def ddl(
    database: Annotated[str, typer.Option("--database", help="The database of Athena.")] = "pointsman",
    location: Annotated[
        str, typer.Option("--location", help="Where the log is: s3://BUCKET/PREFIX.", show_default="POINTSMAN_LOG")
    ] = "",
    partitions: Annotated[
        bool, typer.Option("--partitions", help="Register the partitions of the tables NAME_all, of what the log has.")
    ] = False,
    route: Annotated[
        str | None, typer.Option("--route", help="The view of one route, with a column for each feature.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run the statements in Athena.")] = False,
    workgroup: Annotated[
        str, typer.Option("--workgroup", help="The workgroup of Athena.", show_default="primary")
    ] = "",
    output: Annotated[
        str, typer.Option("--output", help="s3://… for Athena's results.", show_default="the workgroup's")
    ] = "",
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of name and sql.")] = False,
) -> None:
    """Print the statements that make Athena's tables and views of the log, or run them.

    They can be run again at any time: tables are external, so no file is touched. After that, run --partitions again.
    """
    settings = read_settings(home=home)
    statements = list(_statements(settings, database, location, route, partitions=partitions))
    if apply:
        from inference_log.s3.athena import Athena, connect_athena

        count = Athena(connect_athena(), database, workgroup, output).run(statements, lambda name: say(name, err=True))
        say(f"{count} statements were run in database {database}.")
    elif as_json:
        print_json([{"name": each.name, "sql": each.sql} for each in statements])
    else:
        for each in statements:
            say(f"{each.sql};\n")


def _statements(
    settings: "Settings", database: str, location: str, route: str | None, *, partitions: bool
) -> "Iterator[Statement]":
    """Yield what was asked for.

    Raises:
        ValueError: the place of the log is not in S3, or an option is not what it must be.
    """
    from inference_log.athena.partitions import partition_statements
    from inference_log.athena.tables import database_statement, table_statements
    from inference_log.athena.views import view_statements
    from inference_log.files.open import open_files
    from inference_log.s3.place import is_in_s3, parse_place

    if route is not None:
        from gateway.cli.log_typed_view import route_view

        yield route_view(settings, route)
        return
    location = location or settings.log
    if not is_in_s3(location):
        raise ValueError(f"Athena reads S3, and the log is in {location}. Say --location s3://BUCKET/PREFIX.")
    parse_place(location)
    if partitions:
        yield from partition_statements(open_files(location), location)
        return
    yield database_statement(database)
    yield from table_statements(location)
    yield from view_statements()
