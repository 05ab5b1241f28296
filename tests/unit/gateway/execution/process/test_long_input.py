"""What a process is to do may be longer than an argument of a command (128 KiB)."""

from msgspec import structs

from gateway.execution.checking.messages import NewVersion, ToCheck
from gateway.execution.checking.process import check_in_process
from gateway.execution.process.model import ProcessOptions, await_loaded, start_model
from runtimes.load_options import LoadOptions
from tests.unit.gateway.execution.process.support import publish_echo


def test_the_signature_behind_which_a_version_runs_may_have_thousands_of_names(tmp_path):
    version = publish_echo(tmp_path, "FP32")
    columns = tuple(f"customer_feature_number_{number:06}" for number in range(4000))
    own = version.manifest.signature
    seen = structs.replace(own, inputs=(structs.replace(own.inputs[0], columns=columns),))
    child = start_model(version.key, ProcessOptions(str(tmp_path), LoadOptions()), 0, seen=seen)
    try:
        assert await_loaded(child, 60.0).unbatched_because == ""
    finally:
        child.kill()
        child.wait()
        child.close()


def test_what_a_person_says_of_a_version_may_be_long(tmp_path):
    what = NewVersion(source=str(tmp_path / "absent"), said={"file": "x" * 200_000})
    assert "absent" in check_in_process(ToCheck(what, LoadOptions(has_network=True)), lambda _: None).failure
