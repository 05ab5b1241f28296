from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RewardsRequest(_message.Message):
    __slots__ = ("rewards",)
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    rewards: _containers.RepeatedCompositeFieldContainer[Reward]
    def __init__(self, rewards: _Optional[_Iterable[_Union[Reward, _Mapping]]] = ...) -> None: ...

class Reward(_message.Message):
    __slots__ = ("decision", "metric", "value", "label", "number_label", "event", "op", "time")
    class Operation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ADD: _ClassVar[Reward.Operation]
        SET: _ClassVar[Reward.Operation]
        RETRACT: _ClassVar[Reward.Operation]
    ADD: Reward.Operation
    SET: Reward.Operation
    RETRACT: Reward.Operation
    DECISION_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_LABEL_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    decision: str
    metric: str
    value: float
    label: str
    number_label: float
    event: str
    op: Reward.Operation
    time: str
    def __init__(self, decision: _Optional[str] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., label: _Optional[str] = ..., number_label: _Optional[float] = ..., event: _Optional[str] = ..., op: _Optional[_Union[Reward.Operation, str]] = ..., time: _Optional[str] = ...) -> None: ...

class RewardsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RewardResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RewardResult, _Mapping]]] = ...) -> None: ...

class RewardResult(_message.Message):
    __slots__ = ("result", "error")
    class Result(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[RewardResult.Result]
        COUNTED: _ClassVar[RewardResult.Result]
        DUPLICATE: _ClassVar[RewardResult.Result]
        LATE: _ClassVar[RewardResult.Result]
        REFUSED: _ClassVar[RewardResult.Result]
    UNSPECIFIED: RewardResult.Result
    COUNTED: RewardResult.Result
    DUPLICATE: RewardResult.Result
    LATE: RewardResult.Result
    REFUSED: RewardResult.Result
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    result: RewardResult.Result
    error: str
    def __init__(self, result: _Optional[_Union[RewardResult.Result, str]] = ..., error: _Optional[str] = ...) -> None: ...
