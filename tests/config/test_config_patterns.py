"""Entries that stand for many apps: what they make of folders, and how their mistakes are told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from driftd.config.expansion import Expansion, FolderQuery, Listing, expand, folder_queries
from driftd.config.loading import parse
from driftd.config.schema import json_schema
from driftd.config.settings import Config
from driftd.git.folder_pattern import FolderPattern
from driftd.git.folders import Folder
from driftd.model.errors import ConfigError

HEAD = """\
clusters: [{name: prod}, {name: staging}]
sources:
  - {name: shop, url: https://git.example.com/shop.git}
  - {name: infra, url: https://git.example.com/infra.git}
apps:
"""


def config_of(*entries: str) -> Config:
    return parse(
        (HEAD + "".join(f"  - {{{entry}}}\n" for entry in entries)).encode(), file="driftd.yaml", folder=Path()
    )


def mistakes_of(*entries: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config_of(*entries)
    return [mistake.removeprefix("driftd.yaml:") for mistake in caught.value.mistakes]


def expanded(config: Config, **found: Sequence[str]) -> Expansion:
    """The apps by the folders that each source has."""
    listings = {}
    for query in folder_queries(config):
        paths = [path for path in found.get(query.source, ()) if query.pattern.wildcards(path) is not None]
        listings[query] = Listing(tuple(map(Folder, paths)))
    return expand(config, listings)


def apps(expansion: Expansion, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(app, key) for key in keys) for app in expansion.config.apps]


def test_each_folder_is_an_app_with_all_that_its_entry_says() -> None:
    """Name and namespace by template, everything else as it stands there; other apps are as they were."""
    config = config_of(
        "name: web, source: shop, path: web",
        'name: "team-{folder}", source: shop, path: "apps/*", namespace: "{folder}", namespaces: ["{1}-jobs", shared], '
        'mode: heal, rollback: auto, interval: 1m, helm: {releaseName: "{folder}", valuesFiles: ["/values/{1}.yaml"]}',
    )
    made = expanded(config, shop=["apps/api", "apps/jobs"])
    assert (made.is_complete, made.not_judged) == (True, {})
    assert apps(made, "name", "path", "namespace", "namespaces") == [
        ("web", "web", None, ()),
        ("team-api", "apps/api", "api", ("api-jobs", "shared")),
        ("team-jobs", "apps/jobs", "jobs", ("jobs-jobs", "shared")),
    ]
    api = made.config.app("team-api")
    assert api is not None
    assert (api.mode, api.rollback, api.interval.seconds) == ("heal", "auto", 60)
    assert api.helm is not None
    assert (api.helm.release_name, api.helm.values_files) == ("api", ("/values/api.yaml",))


def test_one_entry_serves_many_clusters() -> None:
    """Those that it names, with the cluster in the path or not; or those that the folders name, if they are there."""
    overlays = config_of('name: "{1}-{cluster}", source: shop, path: "apps/*/{cluster}", clusters: [prod, staging]')
    assert [query.label for query in folder_queries(overlays)] == ["shop/apps/*/prod", "shop/apps/*/staging"]
    found = ["apps/web/prod", "apps/web/staging", "apps/api/prod"]
    assert apps(expanded(overlays, shop=found), "name", "cluster", "path") == [
        ("web-prod", "prod", "apps/web/prod"),
        ("api-prod", "prod", "apps/api/prod"),
        ("web-staging", "staging", "apps/web/staging"),
    ]
    both = config_of('name: "{folder}-{cluster}", source: shop, path: "apps/*", clusters: [prod, staging]')
    assert apps(expanded(both, shop=["apps/web"]), "name", "cluster") == [
        ("web-prod", "prod"),
        ("web-staging", "staging"),
    ]
    fixed = config_of('name: "web-{cluster}", source: shop, path: web, clusters: [prod, staging]')
    assert folder_queries(fixed) == [], "Git need not be asked"
    assert apps(expanded(fixed), "name", "cluster") == [("web-prod", "prod"), ("web-staging", "staging")]
    by_folder = config_of('name: "{cluster}-{2}", source: infra, path: "clusters/*/*", cluster: "{1}"')
    made = expanded(by_folder, infra=["clusters/staging/dns", "clusters/dev/dns"])
    assert apps(made, "name", "cluster") == [("staging-dns", "staging")]
    reason = 'is no app: there is no cluster "dev" (there are: prod, staging)'
    assert made.not_judged == {"infra/clusters/dev/dns": ("prod", reason)}


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("Web", 'its name would be "Web", which must be a name of lower-case letters'),
        ("web_1", 'its name would be "web_1", which must be'),
        ("-web", 'its name would be "-web", which must be'),
        ("ünì", 'its name would be "ünì", which must be'),
        ("a b", 'its name would be "a b", which must be'),
        ("x" * 64, f'its name would be "{"x" * 64}", which must be'),
        ("x" * 5000, f'its name would be "{"x" * 120}…", which must be'),
        ("a.b", 'its name would be "a.b", which must be'),
    ],
)
def test_a_folder_that_makes_no_valid_app_is_told_by_name(folder: str, reason: str) -> None:
    """And keeps no other one from being an app."""
    config = config_of('name: "{folder}", source: shop, path: "apps/*"')
    made = expanded(config, shop=["apps/web", f"apps/{folder}"])
    assert apps(made, "name") == [("web",)]
    [(label, (cluster, said))] = made.not_judged.items()
    assert cluster == "prod"
    assert label.startswith(f"shop/apps/{folder}"[:120])
    assert len(label) < 150
    assert reason in said


def test_whatever_a_folder_is_called_it_gives_no_namespace_but_one() -> None:
    """What a variable stands for is never a wildcard, nor a way out of the repository."""
    config = config_of(
        'name: "{2}", source: shop, path: "*/app-*", namespaces: ["{1}"], helm: {valuesFiles: ["../../{1}/v.yaml"]}'
    )
    [query] = folder_queries(config)
    folders = ("*/app-a", "a,b/app-b", "kube-system/app-c", "team/app-")
    made = expand(config, {query: Listing(tuple(map(Folder, folders)))})
    assert apps(made, "name", "namespaces") == [("c", ("kube-system",))]
    assert made.not_judged["shop/*/app-a"][1] == "is no app: its name has a *"
    assert 'its namespaces[0] would be "a,b", which must be a name' in made.not_judged["shop/a,b/app-b"][1]
    assert 'its name would be "", which must be a name' in made.not_judged["shop/team/app-"][1]


def test_what_two_folders_would_be_called_is_neither() -> None:
    """It is unknown under that name; an app that has an entry of its own keeps its name."""
    config = config_of(
        "name: web, source: shop, path: web",
        'name: "{folder}", source: shop, path: "*/*"',
        'name: "{folder}", source: infra, path: "base/*"',
    )
    made = expanded(config, shop=["a/api", "b/api", "a/web", "a/own"], infra=["base/api", "base/dns"])
    assert apps(made, "name", "path") == [("web", "web"), ("own", "a/own"), ("dns", "base/dns")]
    same = "3 apps would have this name, of infra/base/api and shop/a/api and shop/b/api: none of them is judged until"
    assert made.not_judged["api"][1].startswith(same)
    assert 'it would be called "web", as another app of the configuration is' in made.not_judged["shop/a/web"][1]
    assert len(made.not_judged) == 2


def test_what_is_not_known_is_not_gone() -> None:
    """Before the first fetch, and when folders cannot be listed: what was known stays, and the pattern is unknown."""
    config = config_of('name: "{folder}", source: shop, path: "apps/*"')
    before = expand(config, {})
    assert (before.is_complete, apps(before, "name")) == (False, [])
    assert before.not_judged == {
        "shop/apps/*": ("prod", "its folders are not known: source shop has not been fetched yet")
    }
    query = FolderQuery("shop", FolderPattern("apps/*"))
    failing = expand(config, {query: Listing((Folder("apps/web"),), "the disk is on fire")})
    assert (failing.is_complete, apps(failing, "name")) == (False, [("web",)])
    assert "the disk is on fire" in failing.not_judged["shop/apps/*"][1]
    empty = expand(config, {query: Listing(())})
    assert empty.is_complete
    assert "there is no such folder in the repository" in empty.not_judged["shop/apps/*"][1]
    allowed = config_of('name: "{folder}", source: shop, path: "apps/*", allowEmpty: true')
    assert expand(allowed, {query: Listing(())}).not_judged == {}
    submodule = expand(
        config, {query: Listing((Folder("apps/sub", "it is a submodule, which driftd does not fetch"),))}
    )
    assert submodule.not_judged["shop/apps/sub"][1] == "is no app: it is a submodule, which driftd does not fetch"


@pytest.mark.parametrize(
    ("entry", "mistakes"),
    [
        (
            'name: "{folde}", source: shop, path: "apps/*"',
            [
                '6:12: apps[0].name: there is no variable {folde} here, only {folder}, {1}, {cluster}; '
                'did you mean "folder"?'
            ],
        ),
        (
            'name: "{folder}", source: shop, path: "apps/*", namespace: "{2}"',
            ["6:65: apps[0].namespace: there is no variable {2} here, only {folder}, {1}, {cluster}"],
        ),
        (
            'name: "{folder}", source: shop, path: "apps/*", helm: {valuesFiles: ["{x}.yaml"]}',
            ["6:75: apps[0].helm.valuesFiles[0]: there is no variable {x} here, only {folder}, {1}, {cluster}"],
        ),
        ('name: "{folder}", source: shop, path: "a/**"', ["6:44: apps[0].path: ** is not supported: write one * for"]),
        ('name: "{folder}", source: shop, path: "a/*", exclude: ["**"]', ["6:61: apps[0].exclude[0]: ** is not supp"]),
        ('name: all, source: shop, path: "apps/*"', ["6:12: apps[0].name: needs {folder}, or {1} for what the first"]),
        ('name: "{folder}_x", source: shop, path: "apps/*"', ["6:12: apps[0].name: must be a name of lower-case"]),
        (
            'name: "{folder}", source: shop, path: "apps/*", clusters: [prod, staging]',
            ["6:12: apps[0].name: needs {cluster}: there is an app for each of the clusters"],
        ),
        (
            'name: "{folder}-{cluster}", source: shop, path: "apps/*", clusters: [prod, stagin]',
            ['6:81: apps[0].clusters[1]: there is no cluster with this name; did you mean "staging"?'],
        ),
        (
            'name: "{folder}-{cluster}", source: shop, path: "apps/*", clusters: [prod, prod]',
            ["6:74: apps[0].clusters: names a cluster twice"],
        ),
        (
            'name: "{folder}", source: shop, path: "apps/*", cluster: prod, clusters: [prod]',
            ["6:79: apps[0].clusters: cannot be there together with cluster: choose one"],
        ),
        (
            'name: "{folder}", source: shop, path: "{cluster}/*", cluster: "{1}"',
            ["6:44: apps[0].path: cannot have {cluster}, as cluster comes from the path"],
        ),
        ('name: "{folder}", source: shop, path: web', ["6:12: apps[0].name: {folder} stands for nothing here"]),
        ('name: web, source: shop, path: "a/{cluster}"', ["6:37: apps[0].path: {cluster} stands for nothing here"]),
        ('name: "w{x}", source: shop, path: a', ["6:12: apps[0].name: {x} stands for nothing here"]),
        ('name: web, source: shop, path: web, exclude: [a]', ["6:51: apps[0].exclude: has no use without a * in path"]),
        ('name: "{folder}", source: shop, path: "*/*/*/*/*/*/*/*/*/*"', ["6:44: apps[0].path: has more than 9 wild"]),
    ],
)  # fmt: skip
def test_a_mistake_in_a_pattern_is_told_at_its_place(entry: str, mistakes: list[str]) -> None:
    """With line and column, before anything is asked of Git."""
    found = mistakes_of(entry)
    assert len(found) == len(mistakes)
    assert all(one.startswith(expected) for one, expected in zip(found, mistakes, strict=True)), found


def test_braces_and_names_of_folders_that_are_no_templates_stay_as_they_were() -> None:
    """A path may have braces, and several entries one template."""
    config = config_of(
        'name: web, source: shop, path: "a/{x}"',
        'name: "{folder}", source: shop, path: "apps/*"',
        'name: "{folder}", source: infra, path: "apps/*"',
    )
    assert config.apps[0].path == "a/{x}"


@pytest.mark.parametrize(("name", "valid"), [("{folder}-{cluster}", True), ("web", True), ("Web-{1}", False)])
def test_the_schema_knows_templates(name: str, valid: bool) -> None:
    """An editor shows no squiggle under a good one."""
    document = yaml.safe_load(HEAD + f'  - {{name: "{name}", source: shop, path: "apps/*", exclude: [apps/old-*]}}\n')
    assert (next(jsonschema.Draft202012Validator(json_schema()).iter_errors(document), None) is None) is valid


def test_a_repository_with_thousands_of_folders_holds_nothing_up() -> None:
    """The event loop that makes the apps has others to serve."""
    config = config_of(
        'name: "{folder}-{cluster}", source: shop, path: "apps/*", clusters: [prod, staging], mode: heal'
    )
    started = time.process_time()
    made = expanded(config, shop=[f"apps/a{number}" for number in range(2000)])
    assert len(made.config.apps) == 4000
    assert time.process_time() - started < 5
