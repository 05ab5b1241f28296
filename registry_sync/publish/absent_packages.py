"""Packages that only the application of a dedicated version will have."""

from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from runtimes.manifest import Manifest


def absent_packages(manifest: Manifest) -> list[str]:
    """Return the packages that a dedicated version names and that are not installed here.

    A version of another placement must be loaded with what is here, so for it there are none.
    """
    if manifest.placement != "dedicated":
        return []
    return [line for line in dict.fromkeys((*manifest.packages, *manifest.resources.pip)) if not _is_here(line)]


def _is_here(line: str) -> bool:
    try:
        wanted = Requirement(line)
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):
        return False
