"""The profile under which hypothesis runs everywhere: a slow machine fails no test, and CI repeats its examples."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pointsman",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=os.environ.get("CI") == "true",
)
settings.load_profile("pointsman")
