"""The process that checks a version."""

import pytest

from gateway.execution.checking import worker
from gateway.execution.checking.steps import Step, Steps


@pytest.mark.parametrize("is_allowed", [True, False])
def test_where_a_process_cannot_leave_its_network_a_remark_says_so(monkeypatch, is_allowed):
    def leave() -> None:
        if not is_allowed:
            raise OSError(22, "unshare: Invalid argument")

    monkeypatch.setattr(worker, "leave_network", leave)
    reported: list[Step] = []
    remarks = worker._leave_network(Steps(reported.append))
    assert [(step.step, step.state) for step in reported] == ([] if is_allowed else [("network", "remark")])
    assert [step.detail for step in reported] == list(remarks)
    assert all("Invalid argument" in remark for remark in remarks)
