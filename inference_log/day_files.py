"""The Parquet files of a day, by route."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from inference_log.files import LogFiles, StoredFile

_THREADS = 8  # S3 answers a listing in some 50 ms, and a log may have a thousand routes
_ROUTE = "route="


def routes_of(files: LogFiles, table: str) -> Sequence[str]:
    """Return the routes of which a table has rows of any day. Raises like `LogFiles.list`."""
    return [name.removeprefix(_ROUTE) for name in files.folders(f"{table}/") if name.startswith(_ROUTE)]


def partition_folder(table: str, route: str, day: str) -> str:
    """Return the folder of a route's day, with a slash at its end."""
    return f"{table}/route={route}/dt={day}/"


def files_of(files: LogFiles, table: str, route: str, day: str) -> Sequence[StoredFile]:
    """Return the files of a route's day. Raises like `LogFiles.list`."""
    listed = files.list(partition_folder(table, route, day))
    return [each for each in listed if each.key.endswith(".parquet")]


def files_of_day(files: LogFiles, table: str, day: str) -> Mapping[str, Sequence[StoredFile]]:
    """Return the files of a day by route, without routes that have none. Raises like `LogFiles.list`."""
    routes = routes_of(files, table)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda route: files_of(files, table, route, day), routes))
    return {route: each for route, each in zip(routes, found, strict=True) if each}
