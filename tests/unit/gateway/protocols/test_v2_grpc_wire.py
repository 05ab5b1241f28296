"""Our .proto compared with tritonclient's: everything that we declare has the same numbers and types."""

from collections.abc import Iterator
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from gateway.protocols import open_inference_pb2

OURS, THEIRS = open_inference_pb2.DESCRIPTOR, service_pb2.DESCRIPTOR
SERVICE = "GRPCInferenceService"


# The protocol has this field; tritonclient's copy of it does not.
PROPERTIES = "inference.ModelMetadataResponse.properties"
PROPERTIES_ENTRY = "inference.ModelMetadataResponse.PropertiesEntry"


def messages(container: Any) -> Iterator[Any]:
    for message in container.values():
        yield message
        yield from messages(message.nested_types_by_name)


def their_message(full_name: str) -> Any:
    return model_config_pb2.DESCRIPTOR.pool.FindMessageTypeByName(full_name)


@pytest.mark.parametrize(
    "message",
    [each for each in messages(OURS.message_types_by_name) if each.full_name != PROPERTIES_ENTRY],
    ids=lambda message: message.full_name,
)
def test_every_field_is_the_protocols(message):
    theirs = their_message(message.full_name)
    for field in message.fields:
        if field.full_name == PROPERTIES:
            continue
        other = theirs.fields_by_number[field.number]
        kind, other_kind = (field.message_type or field.enum_type), (other.message_type or other.enum_type)
        assert (field.name, field.type, field.is_repeated) == (other.name, other.type, other.is_repeated)
        assert (kind and kind.full_name) == (other_kind and other_kind.full_name)
        assert (field.containing_oneof and field.containing_oneof.name) == (
            other.containing_oneof and other.containing_oneof.name
        )


def test_datatypes_have_the_protocols_numbers():
    ours, theirs = OURS.enum_types_by_name["DataType"], model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    assert [(value.name, value.number) for value in ours.values] == [
        (value.name, value.number) for value in theirs.values
    ]


def test_every_method_is_the_protocols():
    theirs = THEIRS.services_by_name[SERVICE].methods_by_name
    for method in OURS.services_by_name[SERVICE].methods:
        other = theirs[method.name]
        assert (method.input_type.full_name, method.output_type.full_name) == (
            other.input_type.full_name,
            other.output_type.full_name,
        )
        assert (method.client_streaming, method.server_streaming) == (other.client_streaming, other.server_streaming)


def test_a_client_in_the_same_process_can_register_the_same_names():
    assert OURS.pool is not THEIRS.pool
    assert OURS.pool.FindMessageTypeByName("inference.ModelInferRequest") is not their_message(
        "inference.ModelInferRequest"
    )


def test_metadata_have_the_protocols_properties():
    field = OURS.message_types_by_name["ModelMetadataResponse"].fields_by_number[6]
    assert (field.full_name, field.is_repeated, field.message_type.full_name) == (PROPERTIES, True, PROPERTIES_ENTRY)
    entry = field.message_type
    assert entry.GetOptions().map_entry
    assert [(each.number, each.type) for each in entry.fields] == [(1, field.TYPE_STRING), (2, field.TYPE_STRING)]
