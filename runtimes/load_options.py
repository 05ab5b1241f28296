"""What the operator says about loading a version."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The operator's settings for loading.

    `within_s` limits a trial, and each run of a warm-up where the runtime can be broken off. `max_bytes` limits the
    memory of a process while it loads; 0 for no limit. `trusted_types` are Python types, beside those of scikit-learn,
    that an artifact may hold if its manifest names them. `custom_operators` are libraries for ONNX Runtime.
    `allow_code` lets models that are code run, in processes of their own.
    Only if `has_network`, a trial may use the network. `signature` names the signer that a version must have, if
    there is one, such as `key:/etc/pointsman/publisher.pem` (`runtimes.signers.setting`).
    """

    allow_pickle: bool = False
    intra_op_threads: int = 1
    within_s: float = 600.0
    max_bytes: int = 0
    trusted_types: tuple[str, ...] = ()
    custom_operators: tuple[str, ...] = ()
    allow_code: bool = False
    has_network: bool = False
    signature: str = ""
