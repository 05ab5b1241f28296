"""Targeting: which requests take part in a route's draw. A condition is evaluated on each request.

The conditions are GrowthBook's, and GrowthBook's library evaluates them. The library is imported when the first route
with a target appears, because it imports an HTTP client that we do not need. Its semantics:

- Headers and units are text. Beside a number, `$gt`, `$gte`, `$lt` and `$lte` read text as a number. Text that is not a
  number does not match. `$eq`, `$in` and a bare value never convert, so `router.spec.condition` rejects numbers there.
- An attribute that a request lacks is null. In an order, null counts as 0: `{headers.x-age: {$lt: 18}}` is true for a
  request without the header, unless `$exists: true` stands beside it.
- A value of an FP32 tensor is compared as it is stored: 0.1 is 0.10000000149. Use ranges.
"""

from collections.abc import Container, Mapping
from typing import Any

from gateway.inference.attributes import Value, reader
from router.spec.condition import JOINS, attributes_of, ordered_by_number, parse_attribute
from router.spec.patterns import LONGEST_VALUE
from runtimes.datatypes import Tensor


class Targeting:
    """A compiled condition. It reads only the attributes that the condition names.

    The first dimension of the inputs in `unbatched` does not count instances, so all of their values belong to the
    first instance.

    Raises:
        Rejected: the condition names an attribute that no request has.
    """

    def __init__(self, condition: Mapping[str, Any], unbatched: Container[str] = ()) -> None:
        from growthbook.core import evalCondition  # takes 0.1 to 0.5 s, once

        numbers = ordered_by_number(condition)
        names = {path: str(number) for number, path in enumerate(attributes_of(condition))}
        self._evaluate = evalCondition
        self._condition = _renamed(condition, names)
        self._readers = [
            (name, reader(parse_attribute(path), path in numbers, unbatched)) for path, name in names.items()
        ]

    def matches(
        self,
        headers: Mapping[bytes, bytes],
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Tensor],
        unit: str | None,
    ) -> bool:
        """Return True if the condition holds for the request. Names of headers are in lower case.

        A request for which it cannot be evaluated does not match. No request makes this raise.
        """
        attributes: dict[str, Value] = {}
        for name, read in self._readers:
            value = read(headers, parameters, inputs, unit)
            if type(value) is str and len(value) > LONGEST_VALUE:
                return False
            attributes[name] = value
        try:
            return self._evaluate(attributes, self._condition)
        except Exception:  # noqa: BLE001  # callers' values meet a library's code; no error there may fail a request
            return False


def _renamed(condition: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the condition with attribute names that have no dots: GrowthBook reads dots as nested objects.

    A bare value becomes `$eq`. For bare values GrowthBook uses Python's equality, in which True equals 1.
    """
    renamed: dict[str, Any] = {}
    for key, value in condition.items():
        if key in JOINS:
            renamed[key] = [_renamed(part, names) for part in value]
        elif key == "$not":
            renamed[key] = _renamed(value, names)
        else:
            renamed[names[key]] = value if isinstance(value, dict | list) else {"$eq": value}
    return renamed
