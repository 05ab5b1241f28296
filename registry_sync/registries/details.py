"""What a manifest says of where its version comes from, for registries that know nothing else of it."""

from registry_sync.registries import Details
from runtimes.manifest import Manifest

RUN_ID, DATA_SET = "run_id", "data_set"


def details_of(manifest: Manifest) -> Details:
    """Return the tags of a manifest. Of a tag that is there twice, the last one counts."""
    tags = {key: value for key, _, value in (tag.partition("=") for tag in manifest.tags)}
    return Details(tags=tags, run_id=tags.get(RUN_ID, ""), data_set=tags.get(DATA_SET, ""))
