"""The JSON Schema of a declared route, for the OpenAPI page. `router.spec.parse` checks the declarations themselves."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from gateway.api.openapi import NAME
from router.spec.parse import PLACEMENTS
from router.spec.spec import Starts

_NAMED: dict[str, Any] = {"type": "string", "pattern": NAME}
_SHARE: dict[str, Any] = {"type": ["string", "number"], "description": "Such as 90% or 0.9."}
_SHARES: dict[str, Any] = {"type": "object", "minProperties": 1, "additionalProperties": _SHARE}
_DURATION: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|h|d)$"}
_ARM_REF: dict[str, Any] = {
    "type": ["string", "object"],
    "description": "`model@alias` follows the alias; `model:version` stays; `{value: {...}}` needs no model.",
}
_ROLLOUT: dict[str, Any] = {
    "type": "object",
    "required": ["of", "steps"],
    "properties": {
        "of": {**_NAMED, "description": "The arm to roll out."},
        "from": {
            "type": ["string", "object"],
            "description": "The arm that it replaces, or the shares of several arms.",
        },
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {"type": ["string", "number", "object"]},
            "description": "Such as 5%, or {weight: 5%, every: 10m, samples: 1000, approve: true}.",
        },
        "every": {**_DURATION, "description": "The minimum duration of a step."},
        "samples": {
            "type": "integer",
            "minimum": 1,
            "description": "The minimum number of the candidate's requests in a step.",
        },
        "starts": {
            "type": "string",
            "enum": list(Starts),
            "description": "by_alias: the rollout also begins once the arm's alias names another version.",
        },
    },
}
_POLICY: dict[str, Any] = {
    "type": "object",
    "required": ["policy", "reward"],
    "properties": {
        "policy": {
            "type": ["string", "object"],
            "description": "Its name, such as thompson, or its name and parameters: {softmax: {temperature: 0.1}}.",
        },
        "reward": {**_NAMED, "description": "The metric whose mean is maximised."},
        "floor": {**_SHARE, "description": "The least share of each arm; 1% if absent."},
        "burn_in": {
            "type": "integer",
            "minimum": 1,
            "description": "How many decisions of each arm must mature before weights move; 100 if absent.",
        },
        "discount": {**_DURATION, "description": "After how long a decision counts half; absent: never."},
        "max_change": {**_SHARE, "description": "How much of the traffic may change arms at one update."},
        "evaluate": {**_SHARE, "description": "The share that is drawn like the rest and not learned from."},
        "stop": {"type": "object", "description": "Such as {within: 1%, error: 5%, then: promote}."},
    },
}
_BANDIT: dict[str, Any] = {
    **_POLICY,
    "properties": _POLICY["properties"] | {"from": {**_SHARES, "description": "The first weights; absent: equal."}},
}
_OBJECTS: dict[str, Any] = {"type": "array", "items": {"type": "object"}}

_PROPERTIES: dict[str, Any] = {
    "route": _NAMED,
    "arms": {"type": "object", "minProperties": 1, "additionalProperties": _ARM_REF},
    "split": _SHARES,
    "rollout": _ROLLOUT,
    "bandit": _BANDIT,
    "observe": {**_POLICY, "description": "A policy that watches a split without acting."},
    "unit": {"type": "string", "description": "`header:NAME` or `parameters.NAME`; absent: each request by itself."},
    "fallback": {
        "type": ["string", "object"],
        "description": "The trusted arm, which answers when another cannot; or an object: the fallback of each arm.",
    },
    "deadline": _DURATION,
    "batch_wait": _DURATION,
    "placement": {"type": "string", "enum": list(PLACEMENTS)},
    "guardrails": {**_OBJECTS, "description": "Such as {errors: {worse_by: 1%}}."},
    "alpha": {**_SHARE, "description": "The probability that the guardrails together may be wrong; 1 % if absent."},
    "shadow": {**_OBJECTS, "description": "Such as {arm: fraud:17, sample: 20%}."},
    "limits": {"type": "object", "description": "By arm, such as {floor: 5%, ceiling: 20%}."},
    "target": {
        "type": "object",
        "description": "A condition in GrowthBook's language that selects the requests that take part.",
    },
    "layer": {"type": "object", "description": "Such as {name: checkout, range: [0%, 50%]}."},
    "holdout": {"type": ["string", "number", "object"], "description": "The share of the units that takes no part."},
    "seed": {"type": "string", "minLength": 1},
    "require_tags": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "The tags that a version must have in the registry before an alias leads to it.",
    },
    "check": {
        "type": "object",
        "description": "What a version is asked before an alias leads to it, such as {logged: 500, above: 5%}.",
    },
}

RouteSpec = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "title": "RouteSpec",
            "description": "A route: a split, a rollout or a bandit. `route` is optional if the path names it.",
            "required": ["arms"],
            "properties": _PROPERTIES,
        }
    ),
]
