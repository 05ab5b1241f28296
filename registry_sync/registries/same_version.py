"""Says if two manifests describe the same version: publishing it again is then no fault."""

import msgspec

from runtimes.manifest import Manifest


def is_same(one: Manifest, other: Manifest) -> bool:
    """Return True if two manifests have the same artifact and say the same about it.

    Golden requests are made from a model's own answers, which another machine may round otherwise. They do not count.
    """
    return _essence(one) == _essence(other)


def _essence(manifest: Manifest) -> Manifest:
    files = tuple(sorted((each for each in manifest.files if each.file != manifest.golden), key=lambda each: each.file))
    return msgspec.structs.replace(manifest, files=files, golden="")
