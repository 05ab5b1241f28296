"""`pointsman log lifecycle` and `pointsman log expire`: how long the log is kept."""

from typing import Annotated

import typer

from gateway.cli.output import errors_printed, print_json, print_table, say
from gateway.cli.settings_flags import Home, read_settings

_MB = 1024 * 1024


@errors_printed(exit_code=2)
def lifecycle(
    inferences: Annotated[int, typer.Option(min=1, help="Days to keep inferences and wide.")] = 400,
    rewards: Annotated[int, typer.Option(min=1, help="Days to keep rewards.")] = 400,
    payloads: Annotated[int, typer.Option(min=1, help="Days to keep payloads.")] = 14,
    audit: Annotated[int, typer.Option(min=1, help="Days to keep audit and policies.")] = 3650,
    home: Home = None,
) -> None:
    """Print the lifecycle rules of a log in S3 as JSON, and on standard error the command that sets them."""
    from inference_log.errors import LogError
    from inference_log.retention.lifecycle import lifecycle as rules_of
    from inference_log.s3.place import is_in_s3, parse_place

    log = read_settings(home=home).log
    if not is_in_s3(log):
        raise LogError(f"{log} is a directory, which has no lifecycle rules; use pointsman log expire.")
    place = parse_place(log)
    days = {"inferences": inferences, "wide": inferences, "rewards": rewards, "payloads": payloads}
    print_json(rules_of(place, {**days, "policies": audit, "audit": audit}))
    say(
        "Save this as lifecycle.json, and add the other rules of the bucket, which are replaced. Then:\n"
        f"aws s3api put-bucket-lifecycle-configuration --bucket {place.bucket}"
        " --lifecycle-configuration file://lifecycle.json",
        err=True,
    )


@errors_printed(exit_code=2)
def expire(
    before: Annotated[str, typer.Option(metavar="DAY", help="Remove the days before this one (YYYY-MM-DD, UTC).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; only say what would go.")] = False,
    force: Annotated[bool, typer.Option(help="Also remove days that are not closed.")] = False,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the days.")] = False,
) -> None:
    """Remove old days of inferences, wide, rewards and payloads. It refuses if one of them is not closed."""
    from inference_log.files.open import open_files
    from inference_log.retention.expire import expire as expired_days

    files = open_files(read_settings(home=home).log)
    gone = list(
        expired_days(files, before, force=force, dry_run=dry_run, progress=lambda text: say(f"· {text} …", err=True))
    )
    if as_json:
        print_json([each._asdict() for each in gone])
    elif gone:
        print_table(("DAY", "FILES", "MB"), [(each.day, each.files, f"{each.bytes / _MB:.1f}") for each in gone])
        say("Nothing was removed." if dry_run else f"{len(gone)} days were removed.")
    else:
        say(f"The log has no day before {before}.")
