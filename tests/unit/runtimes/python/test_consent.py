"""The packages that a model names, against those that are installed."""

from importlib.metadata import version

import pytest

from runtimes.errors import ModelRefused
from runtimes.python.consent import other_patches, require_packages

NUMPY = version("numpy")


@pytest.mark.parametrize(
    "line",
    ["numpy", f"numpy=={NUMPY}", "NumPy>=2,<100", "numpy[extra]>=1", "no-such-package==1; python_version < '3'"],
)
def test_installed_packages_satisfy(line):
    require_packages([line])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("numpy==1.0", rf"wants numpy==1\.0; installed is {NUMPY}\..* `placement: dedicated`"),
        ("no-such-package>=2", "wants no-such-package>=2; it is not installed.*placement: dedicated"),
        ("numpy @ https://example.com/numpy.whl", f"installed is {NUMPY} from elsewhere"),
        ("numpy ==", "names the package 'numpy ==', which cannot be read"),
        ("-r other.txt", "cannot be read"),
    ],
)
def test_others_are_refused(line, words):
    with pytest.raises(ModelRefused, match=words):
        require_packages([line])


MAJOR, MINOR, PATCH = NUMPY.split(".")[:3]
OTHER = f"numpy=={MAJOR}.{MINOR}.{int(PATCH) + 1}"


def test_another_patch_of_a_pinned_package_is_taken_and_noted():
    require_packages([OTHER])
    assert other_patches([OTHER, f"numpy=={NUMPY}", "numpy>=1", "-r other.txt"]) == [f"{OTHER}; here {NUMPY}"]


@pytest.mark.parametrize(
    "line",
    [
        f"numpy==={MAJOR}.{MINOR}.{int(PATCH) + 1}",
        f"numpy=={MAJOR}.{int(MINOR) + 1}.{PATCH}",
        f"numpy=={int(MAJOR) + 1}.{MINOR}.{PATCH}",
        f"numpy>={MAJOR}.{MINOR}.{int(PATCH) + 1}",
        f"{OTHER},!={NUMPY}",
        f"numpy=={MAJOR}.{int(MINOR) + 1}",
        f"numpy=={MAJOR}.{MINOR}.{PATCH}.1",
    ],
)
def test_what_is_no_other_patch_is_refused(line):
    with pytest.raises(ModelRefused, match="numpy"):
        require_packages([line])
    assert other_patches([line]) == []


def test_another_version_may_be_accepted_and_a_missing_package_not():
    require_packages(["numpy==1.0"], accepts_other_versions=True)
    with pytest.raises(ModelRefused, match="not installed"):
        require_packages(["no-such-package==1"], accepts_other_versions=True)
