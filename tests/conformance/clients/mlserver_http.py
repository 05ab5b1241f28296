"""MLServer's types over HTTP, with httpx: `model_dump_json` out, `model_validate_json` in."""

import httpx
from mlserver import types
from mlserver_shared import decode_response, encode_request
from wire import Json


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = httpx.Client(base_url=f"http://{http}", trust_env=False, timeout=60)

    def infer(self, request: Json) -> Json:
        version = f"/versions/{request['version']}" if request["version"] else ""
        path = f"/v2/models/{request['route']}{version}/infer"
        response = self._client.post(
            path, content=encode_request(request).model_dump_json(), headers=request["headers"]
        )
        if response.is_error:
            sentence = types.InferenceErrorResponse.model_validate_json(response.content).error
            raise httpx.HTTPStatusError(str(sentence), request=response.request, response=response)
        return decode_response(types.InferenceResponse.model_validate_json(response.content))

    def server_metadata(self) -> Json:
        response = self._client.get("/v2").raise_for_status()
        return types.MetadataServerResponse.model_validate_json(response.content).model_dump()

    def model_metadata(self, route: str) -> Json:
        response = self._client.get(f"/v2/models/{route}").raise_for_status()
        return types.MetadataModelResponse.model_validate_json(response.content).model_dump()

    def index(self) -> list[Json]:
        response = self._client.post("/v2/repository/index", json={}).raise_for_status()
        return types.RepositoryIndexResponse.model_validate_json(response.content).model_dump()
