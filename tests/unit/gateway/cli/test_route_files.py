"""Files and folders that declare routes, and the errors of those that do not."""

import pytest

from gateway.cli.route_files import read_declared
from router.spec.unparse import unparse_spec
from tests.support.paths import ROOT

SPLIT = "arms: {a: 'linear:1'}\nsplit: {a: 100%}\n"


def write(folder, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_may_hold_several_routes(tmp_path):
    write(tmp_path, routes_yaml=f"---\nroute: one\n{SPLIT}---\n---\nroute: two\n{SPLIT}")
    declared = read_declared(tmp_path / "routes.yaml")
    assert [(each.path.name, each.spec.route) for each in declared] == [("routes.yaml", "one"), ("routes.yaml", "two")]


def test_a_folder_is_read_with_all_that_lies_below_but_what_is_hidden(tmp_path):
    routes = {"b_yml": "two", "a_yaml": "one", "below__deep__c_yaml": "three"}
    write(tmp_path, **{name: f"route: {route}\n{SPLIT}" for name, route in routes.items()})
    write(tmp_path, notes_txt="not: [", _hidden_yaml="not: [", _git__d_yaml="not: [")
    assert [each.spec.route for each in read_declared(tmp_path)] == ["one", "two", "three"]


def test_a_route_that_is_declared_twice_is_refused_with_both_files(tmp_path):
    write(tmp_path, a_yaml=f"route: one\n{SPLIT}", b_yaml=f"route: one\n{SPLIT}")
    with pytest.raises(ValueError, match=r"Route one is declared twice: in .*a\.yaml and in .*b\.yaml\."):
        read_declared(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"routes\.yaml declares no route"),
        ("route: [", r"routes\.yaml is not YAML: .*line 1"),
        ("- a\n", "is not a route; each needs the key route"),
        ("arms: {}\n", "is not a route"),
        (f"route: one\n{SPLIT}colour: red\n", r"routes\.yaml, route 'one': Unknown key colour"),
        ("route: 2026-01-01\n", "route must be a name"),
        (f"route: one\n{SPLIT}deadline: 1s\ndeadline: 2s\n", r"not YAML: the key deadline is there twice .*line 5"),
        (f"route: one\n{SPLIT}rollout: {{of: a, of: b}}\n", "the key of is there twice"),
        ("base: &a {b: c}\n---\n", "is not a route"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_route_is_refused_with_its_file(tmp_path, text, sentence):
    write(tmp_path, routes_yaml=text)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_declared(tmp_path / "routes.yaml")
    assert len(str(refused.value).splitlines()) == 1


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "routes.yaml").write_bytes(b"route: \xff")
    with pytest.raises(ValueError, match="is not YAML"):
        read_declared(tmp_path)


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file \*\.yaml"):
        read_declared(tmp_path)


def test_every_file_that_is_wrong_is_said_at_once(tmp_path):
    write(tmp_path, a_yaml="route: [", b_yaml=f"route: one\n{SPLIT}", c_yaml="- a\n")
    with pytest.raises(ValueError, match="is not YAML") as refused:
        read_declared(tmp_path)
    first, second = str(refused.value).splitlines()
    assert "a.yaml" in first
    assert "c.yaml holds something that is not a route" in second


def test_of_very_many_files_that_are_wrong_some_are_said(tmp_path):
    write(tmp_path, **{f"a{number}_yaml": "- a\n" for number in range(23)})
    with pytest.raises(ValueError, match="3 more files") as refused:
        read_declared(tmp_path)
    assert len(str(refused.value).splitlines()) == 21


def test_words_that_are_booleans_elsewhere_are_words(tmp_path):
    text = "route: one\narms: {on: linear:1, off: linear:1}\nsplit: {on: 100%, off: 0%}\nfallback: off\n"
    write(tmp_path, a_yaml=text + "target: {headers.x-country: {$in: [no, se]}, parameters.new: true}\n")
    (declared,) = read_declared(tmp_path)
    assert list(declared.spec.arms) == ["on", "off"]
    written = unparse_spec(declared.spec)
    assert written["fallback"] == "off"
    assert written["target"] == {"headers.x-country": {"$in": ["no", "se"]}, "parameters.new": True}


def test_a_mapping_may_be_merged_into_another_and_overrule_it(tmp_path):
    text = "route: one\narms: {a: 'linear:1', b: 'linear:2'}\nsplit: {a: 100%, b: 0%}\n"
    write(tmp_path, a_yaml=text + "limits: {a: &a {floor: 1%, ceiling: 100%}, b: {<<: *a, floor: 0%}}\n")
    (declared,) = read_declared(tmp_path)
    assert declared.spec.limits is not None
    assert declared.spec.limits["b"].floor == 0


def test_the_route_in_the_documentation_is_one(tmp_path):
    page = (ROOT / "docs" / "rollouts.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    write(tmp_path, fraud_yaml=example)
    (declared,) = read_declared(tmp_path)
    assert (declared.spec.route, len(declared.spec.guardrails)) == ("fraud", 3)


def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    write(tmp_path, a_yaml=f"route: one\n{SPLIT}")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"b\.yaml is a link that leads nowhere"):
        read_declared(tmp_path)
    (tmp_path / "b.yaml").unlink()
    (tmp_path / "team").symlink_to(tmp_path / "gone")  # it may have led to a folder of files
    with pytest.raises(ValueError, match="team is a link that leads nowhere"):
        read_declared(tmp_path)


def test_a_link_to_a_folder_is_followed_and_a_circle_is_not(tmp_path):
    routes, team = tmp_path / "routes", tmp_path / "team"
    routes.mkdir()
    team.mkdir()
    write(routes, a_yaml=f"route: one\n{SPLIT}")
    write(team, b_yaml=f"route: two\n{SPLIT}")
    (routes / "team").symlink_to(team)
    (team / "back").symlink_to(routes)
    assert [each.spec.route for each in read_declared(routes)] == ["one", "two"]


def test_several_files_and_folders_are_read_together(tmp_path):
    write(tmp_path, a_yaml=f"route: one\n{SPLIT}", below__b_yaml=f"route: two\n{SPLIT}")
    declared = read_declared(tmp_path / "a.yaml", tmp_path / "below")
    assert [each.spec.route for each in declared] == ["one", "two"]
