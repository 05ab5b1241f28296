"""What must hold before code of a model's author runs: the operator allows it, and the packages that it names are here.

The consent is a setting of its own. `allow_pickle` permits more: a pickle may run in the gateway's own process.
"""

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from runtimes.errors import ModelRefused
from runtimes.load_options import LoadOptions
from runtimes.manifest import Manifest


def require_consent(manifest: Manifest, options: LoadOptions) -> None:
    """Check that the operator allows code, and that the packages of the manifest are installed.

    Raises:
        ModelRefused: the sentence says what to set, or which package is missing.
    """
    if not options.allow_code:
        raise ModelRefused(
            f"{manifest.file} is code of its author, which would run with the rights of the gateway's user. "
            "Set POINTSMAN_ALLOW_CODE=true if you trust whoever may write to the registry."
        )
    require_packages(manifest.packages, accepts_other_versions=manifest.accepts_other_versions)


def require_consent_to_packages(manifest: Manifest, options: LoadOptions) -> None:
    """Check that the operator allows packages to be installed for a version that has an application of its own.

    Raises:
        ModelRefused: the version names some, and the operator does not allow code.
    """
    named = (*manifest.resources.pip, *manifest.packages)
    if named and not options.allow_code:
        raise ModelRefused(
            f"Its application would install {', '.join(named)}, and packages are code. "
            "Set POINTSMAN_ALLOW_CODE=true if you trust all who may write to the registry."
        )


def require_packages(packages: Sequence[str], *, accepts_other_versions: bool = False) -> None:
    """Check that each package is installed, in a version that its line allows (PEP 508), or in another patch of it.

    A line such as `mlflow==3.17.0`, as MLflow writes it of what was installed, also takes 3.17.2: releases with the
    same first two numbers mend faults. `===` takes nothing else.

    Raises:
        ModelRefused: one is missing or of another version, or a line cannot be read.
    """
    for line in packages:
        try:
            wanted = Requirement(line)
        except InvalidRequirement as error:
            raise ModelRefused(f"model.yaml names the package {line!r}, which cannot be read: {error}.") from error
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        installed = _installed(wanted.name)
        if installed and not wanted.url:
            allows = wanted.specifier.contains(installed, prereleases=True) or _is_patch(wanted, installed)
            if accepts_other_versions or allows:
                continue
            found = f"installed is {installed}. If it works with that, write `accepts_other_versions: true`"
        else:
            found = "it is not installed" if not installed else f"installed is {installed} from elsewhere"
        raise ModelRefused(
            f"The model wants {line}; {found}. With `placement: dedicated` its packages are installed for it alone."
        )


def other_patches(packages: Sequence[str]) -> list[str]:
    """Return the lines that `require_packages` takes though another patch is installed, with that one."""
    found = []
    for line in packages:
        with suppress(InvalidRequirement):
            wanted = Requirement(line)
            installed = _installed(wanted.name)
            is_other = installed and not wanted.specifier.contains(installed, prereleases=True)
            if is_other and _is_patch(wanted, installed):
                found.append(f"{line}; here {installed}")
    return found


def _is_patch(wanted: Requirement, installed: str) -> bool:
    pins = [each for each in wanted.specifier if each.operator == "==" and not each.version.endswith(".*")]
    if len(pins) != 1 or len(wanted.specifier) != 1:
        return False
    pinned, found = Version(pins[0].version), Version(installed)
    return len(pinned.release) == 3 and (pinned.epoch, pinned.release[:2]) == (found.epoch, found.release[:2])


def _installed(name: str) -> str:
    """Return the installed version of a package, or an empty text."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
