"""Guardrails that could never see anything, as the manifests of the arms already say."""

from collections.abc import Mapping

from gateway.inference.log_context import has_visible_output
from registry_sync.catalogue import Version
from router.errors import Rejected
from router.spec.spec import GuardrailKind, RouteSpec

_OF_OUTPUTS = (GuardrailKind.MISSING_OUTPUTS, GuardrailKind.DISAGREEMENT)


def refuse_blind(spec: RouteSpec, arms: Mapping[str, Version]) -> None:
    """Refuse a guardrail of outputs if the log keeps no output of an arm that it compares: it would stay BLIND.

    Raises:
        Rejected: there is such a guardrail.
    """
    blind = [str(each.kind) for each in spec.guardrails if each.kind in _OF_OUTPUTS]
    compared = [arm for arm in arms if arm in spec.guarded_arms or arm == spec.trusted_arm]
    for arm in compared if blind else ():
        version = arms[arm]
        if not has_visible_output(version.manifest):
            raise Rejected(
                f"Guardrail {blind[0]} could see nothing of arm {arm} ({version.key}): the model's inputs have a batch "
                "dimension (-1 comes first), and none of its outputs has one. Give an output in model.yaml a batch "
                "dimension and publish that as a new version, or take the guardrail out."
            )
