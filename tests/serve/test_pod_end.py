"""A pod that ends as kubelet ends it, under load: no request fails, and no row is missing."""

import pytest

from loadtests.studies.pod_end import How, end_pod
from tests.support.components import in_soak


@in_soak
@pytest.mark.timeout(900)
def test_a_pod_that_ends_fails_no_request_and_loses_no_row(tmp_path):
    outcome = end_pod(tmp_path, How.HOOK, per_second=50)
    assert outcome.failed == []
    assert outcome.missing_rows == 0
    assert outcome.answered > 500
