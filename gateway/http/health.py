"""`GET /-/healthz`, which Ray Serve, KubeRay's probes and load balancers ask."""

from gateway.errors import WrongMethod
from gateway.http.response import TEXT, Response, refusal, response_of
from gateway.inference.service import new_decision_id


async def health_response(method: str, unready: str) -> Response:
    """Return 200 with `success`, or 503 with the word that says why requests should go elsewhere."""
    if method not in ("GET", "HEAD"):
        return refusal(WrongMethod(f"/-/healthz takes GET, not {method}.", allow="GET, HEAD"), new_decision_id())
    return response_of(503, unready.encode(), [], TEXT) if unready else response_of(200, b"success", [], TEXT)
