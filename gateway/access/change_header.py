"""The header that a change may carry instead of a JSON content type. See rule 3 of `gateway.access.browser`."""

CHANGE_HEADER = "x-pointsman"

CHANGE_ID_HEADER = "x-change-id"
"""The header by which a client names its change, so that it finds it in the history if the answer is lost."""
