"""What Ray Serve is told about the number of replicas: one number, or bounds and a policy of ours."""

import pytest
from pydantic import ValidationError

from gateway.settings import Settings


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # of Ray's own schema
def test_serve_is_given_a_number_or_bounds_with_the_policy():
    from gateway.replica.ray_engine import _number_of_replicas  # imports Ray, which takes seconds

    assert _number_of_replicas(Settings(replicas=3)) == {"num_replicas": 3}
    config = _number_of_replicas(Settings(replicas=2, max_replicas=6, scale_in_flight=8))["autoscaling_config"]
    assert (config.min_replicas, config.max_replicas) == (2, 6)
    sent = config.policy.get_policy()  # as the controller gets it
    assert sent(**config.policy.policy_kwargs).needed({"in_flight": {"a": 24.0}}, now=2) == 3.0


def test_the_most_replicas_are_not_fewer_than_the_fewest():
    with pytest.raises(ValidationError, match="max_replicas is 2, and replicas, the fewest, 3"):
        Settings(replicas=3, max_replicas=2)
