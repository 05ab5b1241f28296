"""The lifecycle rules of a log in S3, one for each prefix. S3 applies them by the age of an object.

The records of compactions stay a week longer than the files that they name: readers leave out a compacted file without
its record (`inference_log.compaction.records`).
"""

from collections.abc import Mapping

from inference_log.s3.place import Place

DAYS = {"inferences": 400, "wide": 400, "rewards": 400, "payloads": 14, "policies": 3650, "audit": 3650}
"""How many days each table is kept, unless an operator says otherwise. A replay needs `policies` and `audit`."""

_KEPT_LONGEST = ("closed", "_closed", "_late")
_RECORDS = "_compactions"
_STRICT, _STRICT_DAYS = "_strict", 30
"""Parts of segments are removed by what stores the segments. Those of lost machines wait for `log recover`."""
_MARGIN_DAYS = 7
_CLEAN_UP_DAYS = 7


def lifecycle(place: Place, days: Mapping[str, int]) -> dict[str, object]:
    """Return the configuration that `PutBucketLifecycleConfiguration` takes. `days` are by table."""
    longest = max(days.values())
    kept = {**days, **dict.fromkeys(_KEPT_LONGEST, longest)}
    kept[_RECORDS] = max(days.get(name, 0) for name in ("inferences", "wide", "rewards")) + _MARGIN_DAYS
    kept[_STRICT] = _STRICT_DAYS
    rules: list[dict[str, object]] = [
        {
            "ID": f"pointsman-{name.strip('_')}{'-files' if name.startswith('_') else ''}",
            "Filter": {"Prefix": place.key(f"{name}/")},
            "Status": "Enabled",
            "Expiration": {"Days": number},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _CLEAN_UP_DAYS},
        }
        for name, number in kept.items()
    ]
    rules.append(
        {
            "ID": "pointsman-clean-up",
            "Filter": {"Prefix": place.prefix},
            "Status": "Enabled",
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _CLEAN_UP_DAYS},
        }
    )
    return {"Rules": rules}
