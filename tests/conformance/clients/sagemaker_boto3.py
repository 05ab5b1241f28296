"""boto3's client of SageMaker's runtime, with the gateway as its endpoint."""

import base64
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


class Client:
    def __init__(self, http: str, _grpc: str) -> None:
        self._client = boto3.client(
            "sagemaker-runtime",
            endpoint_url=f"http://{http}",
            region_name="eu-west-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106  # the client signs with something
            config=Config(retries={"max_attempts": 1}),
        )

    def invoke(self, content: str, **more: str) -> dict[str, Any]:
        """Call `invoke_endpoint`. Return what the client returns, or what it raises."""
        try:
            response = self._client.invoke_endpoint(Body=base64.b64decode(content), **more)
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]
            return {
                "error": type(error).__name__,
                "code": error.response["Error"]["Code"],
                "message": error.response["Error"].get("Message", ""),
                "status": metadata["HTTPStatusCode"],
                "original": error.response.get("OriginalStatusCode"),
            }
        return {
            "body": response["Body"].read().decode(),
            "type": response["ContentType"],
            "variant": response.get("InvokedProductionVariant"),
        }
