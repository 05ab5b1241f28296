"""What became of one model of `loadtests.studies.real_models`."""

import msgspec


class Found(msgspec.Struct, frozen=True):
    """What became of one model. `wrong` is how many answers differed."""

    package: str
    model: str
    needed: str = ""
    merged: str = ""
    requests: int = 0
    wrong: int = 0
    refused: str = ""
    took_s: float = 0.0
