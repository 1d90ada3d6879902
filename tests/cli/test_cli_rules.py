"""Ignore rules, and the explanation of every field."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import World, config_map

ANNOTATED = config_map().replace("name: web\n", "name: web\n  annotations:\n    driftd.io/ignore: data.a\n")


def test_an_ignored_difference_is_counted_and_is_no_drift(world: World) -> None:
    """By a rule of the configuration; a rule that matched nothing is reported."""
    world.commit(web=config_map(), other=config_map("other"))
    for name in ("web", "other"):
        world.apply(config_map(name))
    world.apply(config_map("web", "by-hand"), manager="tuner")
    rules = [{"kind": "ConfigMap", "path": "data.a", "manager": "tuner"}, {"kind": "Secret", "name": "x"}]
    config = world.configure({"name": "web", "path": "app"}, ignore=rules)
    result = world.driftd("check", *config, "-o", "json")
    assert result.code == 0
    app = json.loads(result.out)["apps"][0]
    assert (app["counts"]["ignored"], app["counts"]["in_sync"]) == (1, 1)
    assert [resource.get("ignored") for resource in app["resources"] if resource["status"] == "ignored"] == [1]
    assert "matched nothing" in result.err
    assert "kind Secret" in result.err
    assert "kind ConfigMap" not in result.err


def test_a_manifest_can_have_an_ignore_annotation(world: World) -> None:
    """The one that Git declares counts, not that of the live object."""
    world.commit(web=ANNOTATED)
    world.apply(ANNOTATED)
    world.apply(config_map("web", "by-hand"), manager="tuner")
    assert world.check().code == 0
    world.commit(web=config_map())
    assert world.check().code == 1


@pytest.mark.parametrize(
    ("paths", "mistake"),
    [
        ("/data/a", 'the path "/data/a" starts with /'),
        ("data.a, .data.b", 'the path ".data.b" starts with .'),
        ("data..a", 'the path "data..a" has an empty part between its dots'),
        ("spec.x[name=web", 'the path "spec.x[name=web" has a bracket that is not closed'),
        ("a " * 101, "it has more than 100 paths"),
        ("a" * 1001, "it has a path of more than 1000 characters"),
    ],
)
def test_an_ignore_annotation_that_can_match_nothing_is_an_error_with_its_place(
    world: World, paths: str, mistake: str
) -> None:
    """What it was meant to protect would be healed: the object is left alone, and the others are compared."""
    world.commit(web=ANNOTATED.replace("data.a", f"'{paths}'"), other=config_map("other"))
    world.apply(config_map("other"))
    result = world.check("--all")
    assert result.code == 2
    assert f"app/web.yaml:6: driftd.io/ignore: {mistake}" in result.out
    assert "ConfigMap web/other" in result.out
    assert "ConfigMap web/web" not in result.out


def test_a_rule_without_a_condition_is_refused(world: World) -> None:
    """It would ignore everything."""
    world.commit(web=config_map())
    config = world.configure({"name": "web", "path": "app"}, ignore=[{"reason": "because"}])
    result = world.driftd("check", *config)
    assert result.code == 2
    assert "ignore[0]: needs at least one of kind, group" in result.err


def test_every_field_of_an_object_can_be_explained(world: World) -> None:
    """Desired, live, owner, verdict and rule; exit code 1 if something differs."""
    world.commit(web=config_map())
    world.apply(config_map())
    same = world.check("--explain", "configmap/web", "-o", "json")
    assert same.code == 0
    world.apply(config_map("web", "by-hand"), manager="tuner")
    result = world.check("--explain", "ConfigMap/web", "-o", "json")
    assert result.code == 1
    fields = {field["path"]: field for field in json.loads(result.out)["fields"]}
    assert fields["data.a"]["verdict"] == "changed"
    assert (fields["data.a"]["desired"], fields["data.a"]["live"]) == ("one", "by-hand")
    assert fields["data.a"]["owner"]["manager"] == "tuner"
    shown = world.check("--explain", "ConfigMap/web/web").out
    assert "data.a" in shown
    assert "Git one → live by-hand" in shown


def test_an_object_that_cannot_be_explained_is_an_error(world: World) -> None:
    """Not declared; or declared and missing."""
    world.commit(web=config_map())
    unknown = world.check("--explain", "ConfigMap/elsewhere")
    assert unknown.code == 2
    assert "Git declares no ConfigMap/elsewhere" in unknown.err
    missing = world.check("--explain", "ConfigMap/web")
    assert missing.code == 2
    assert "missing" in missing.err


def test_fields_of_a_configured_controller_are_no_drift(world: World) -> None:
    """Those of another manager are."""
    world.commit(web=config_map())
    world.apply(config_map())
    added = config_map().replace("  a: one\n", "  operated: by-operator\n")
    world.apply(added, manager="shop-operator")
    app = {"name": "web", "path": "app"}
    assert world.driftd("check", *world.configure(app)).code == 1
    assert world.driftd("check", *world.configure(app, managers={"controllers": ["shop-*"]})).code == 0


def test_a_rule_can_have_a_cel_expression(world: World) -> None:
    """Over the live value, and over other fields of the declared object."""
    world.commit(web=config_map())
    world.apply(config_map())
    app = {"name": "web", "path": "app"}
    rule = "field.live.startsWith('by-') && object.metadata.name == 'web' && field.manager == 'tuner'"
    for value, code in (("by-hand", 0), ("elsewise", 1)):
        world.apply(config_map("web", value), manager="tuner")
        assert world.driftd("check", *world.configure(app, ignore=[{"cel": rule}])).code == code


def test_an_invalid_cel_expression_is_refused_with_its_position(world: World) -> None:
    """When the configuration is read, and not at the first drift."""
    world.commit(web=config_map())
    for expression, says in (
        ("field.live ==", "not a CEL expression"),
        ("resource.kind == 'x'", "there is no resource"),
    ):
        result = world.driftd("check", *world.configure({"name": "web", "path": "app"}, ignore=[{"cel": expression}]))
        assert result.code == 2
        assert "ignore[0].cel" in result.err
        assert says in result.err
