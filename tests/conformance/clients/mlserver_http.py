"""MLServer's types over HTTP, with httpx: `model_dump_json` out, `model_validate_json` in."""

import httpx
from mlserver import types
from mlserver_shared import answer, request
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = httpx.Client(base_url=f"http://{http}", trust_env=False, timeout=60)

    def infer(self, ask: Json) -> Json:
        version = f"/versions/{ask['version']}" if ask["version"] else ""
        path = f"/v2/models/{ask['route']}{version}/infer"
        response = self._client.post(path, content=request(ask).model_dump_json(), headers=ask["headers"])
        if response.is_error:
            said = types.InferenceErrorResponse.model_validate_json(response.content).error
            raise httpx.HTTPStatusError(str(said), request=response.request, response=response)
        return answer(types.InferenceResponse.model_validate_json(response.content))

    def server_metadata(self) -> Json:
        response = self._client.get("/v2").raise_for_status()
        return types.MetadataServerResponse.model_validate_json(response.content).model_dump()

    def model_metadata(self, route: str) -> Json:
        response = self._client.get(f"/v2/models/{route}").raise_for_status()
        return types.MetadataModelResponse.model_validate_json(response.content).model_dump()

    def index(self) -> list[Json]:
        response = self._client.post("/v2/repository/index", json={}).raise_for_status()
        return types.RepositoryIndexResponse.model_validate_json(response.content).model_dump()
