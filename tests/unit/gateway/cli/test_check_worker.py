"""The process that checks a version for a command."""

import pytest

from gateway.cli import check_worker
from registry_sync.publish.steps import Step, Steps


@pytest.mark.parametrize("is_allowed", [True, False])
def test_where_a_process_cannot_leave_its_network_a_remark_says_so(monkeypatch, is_allowed):
    def leave() -> None:
        if not is_allowed:
            raise OSError(22, "unshare: Invalid argument")

    monkeypatch.setattr(check_worker, "leave_network", leave)
    reported: list[Step] = []
    remarks = check_worker._leave_network(Steps(reported.append))
    assert [(step.step, step.state) for step in reported] == ([] if is_allowed else [("network", "remark")])
    assert [step.detail for step in reported] == list(remarks)
    assert all("Invalid argument" in remark for remark in remarks)
