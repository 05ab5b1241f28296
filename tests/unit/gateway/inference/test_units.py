"""The unit of a request, over a real replica: what is empty is no unit, and 7, 7.0 and "7" are one."""

import pytest

from tests.support.polling import wait_until


def sent(gateway, value: object):
    return gateway.infer("byparameter", parameters={"user": value})


@pytest.mark.parametrize("headers", [{"x-user-id": ""}, {}])
def test_an_empty_unit_draws_for_each_request(gateway, headers):
    assert gateway.infer("half", headers=headers).json()["parameters"]["reason"] == "WEIGHTED"
    assert sent(gateway, "").json()["parameters"]["reason"] == "WEIGHTED"


def test_one_number_is_one_unit_however_it_is_written(gateway):
    answers = [sent(gateway, value) for value in (7, 7.0, "7")]
    assert {answer.json()["parameters"]["reason"] for answer in answers} == {"STICKY"}
    wait_until(lambda: all(gateway.rows(answer) for answer in answers))
    assert len({gateway.rows(answer)[0]["unit_hash"] for answer in answers}) == 1
    other = sent(gateway, 7.5)
    assert gateway.rows(other)[0]["unit_hash"] != gateway.rows(answers[0])[0]["unit_hash"]
