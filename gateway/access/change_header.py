"""The header that a change may carry instead of a JSON content type. See rule 3 of `gateway.access.browser`."""

CHANGE_HEADER = "x-pointsman"
