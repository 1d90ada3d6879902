"""What a configuration file means, and how its mistakes are told."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from driftd.config.loading import load
from driftd.config.schema import json_schema, schema_text
from driftd.config.secret import SecretEnv, SecretFile
from driftd.config.settings import Config
from driftd.config.values import ListenAddress
from driftd.daemon.assembly import app_of
from driftd.model.engine import Engine
from driftd.model.errors import ConfigError
from driftd.model.plan import Mode, RollbackMode

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config/driftd.yaml"
SCHEMA = ROOT / "config/driftd.schema.json"

MINIMAL = """\
sources:
  - {name: shop, url: https://git.example.com/shop.git}
apps:
  - {name: web, source: shop}
"""


@pytest.fixture
def mistakes_of(tmp_path, monkeypatch):
    """The mistakes of a text, each as it is shown for a file called driftd.yaml."""
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes) -> list[str]:
        Path("driftd.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(ConfigError) as caught:
            load(Path("driftd.yaml"))
        assert str(caught.value) == "\n".join(caught.value.mistakes)
        return caught.value.mistakes

    return read


@pytest.fixture
def config_of(tmp_path):
    def read(text: str) -> Config:
        (tmp_path / "driftd.yaml").write_text(text)
        return load(tmp_path / "driftd.yaml")

    return read


def in_context(line: str, section: str = "apps") -> str:
    """A configuration whose last line is a key of its first app, or of its first source."""
    app = "apps:\n  - name: web\n    source: shop\n"
    source = "sources:\n  - name: shop\n    url: https://git.example.com/shop.git\n"
    return (source + app if section == "apps" else app + source) + f"    {line}\n"


def test_the_example_that_ships_loads_and_says_what_it_seems_to_say():
    """config/driftd.yaml is what a newcomer copies."""
    config = load(EXAMPLE)
    shop, platform = config.sources
    web, ingress, tenants = config.apps
    assert shop.ref.branch == "main"
    assert shop.interval == timedelta(seconds=60)
    assert shop.auth.token == SecretFile("auth.tokenFile", Path("/etc/driftd/git-token"))
    assert platform.ref.semver == ">=1.2 <2"
    assert platform.auth.ssh_key_file == Path("/etc/driftd/ssh/id_ed25519")
    assert (web.mode, web.rollback, web.engine) == (Mode.OBSERVE, RollbackMode.MANUAL, Engine.CLIENT)
    assert (web.interval, web.settle, web.deadline) == (
        timedelta(minutes=5),
        timedelta(seconds=30),
        timedelta(minutes=10),
    )
    assert (ingress.mode, ingress.rollback, ingress.helm.release_name) == (Mode.HEAL, RollbackMode.AUTO, "ingress")
    assert (tenants.is_pattern, tenants.clusters, tenants.exclude) == (True, ("prod",), ("tenants/legacy-*",))
    assert config.notify.slack.channel == "#drift"
    assert [webhook.name for webhook in config.notify.webhooks] == ["audit"]
    assert config.web.listen == ListenAddress("0.0.0.0", 8080)
    assert config.cluster_of(ingress).name == "prod"
    assert config.source_of(web) is shop


def test_the_example_explains_every_key_that_there_is():
    """No key is only in the code."""
    text = EXAMPLE.read_text()
    sections = [json_schema(), *json_schema()["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    assert sorted(key for key in keys if f"{key}:" not in text) == []


def test_the_schema_that_ships_is_the_one_of_the_code():
    """When this fails: `driftd config schema > config/driftd.schema.json`."""
    assert SCHEMA.read_text() == schema_text()


def test_the_schema_accepts_the_example_and_describes_every_key():
    """An editor shows a sentence for each key, and no squiggle in the example."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text()), schema)
    for section in [schema, *schema["$defs"].values()]:
        for key, value in section.get("properties", {}).items():
            assert value.get("description"), key


@pytest.mark.parametrize(
    "line",
    [
        "mode: heall",
        "interval: 5x",
        "nope: 1",
        "name: Not_A_Name",
        "helm: {valuesFile: [a]}",
    ],
)
def test_what_the_schema_refuses_in_an_editor_is_refused_when_it_is_loaded(line, mistakes_of):
    """And so the other way round for these."""
    text = in_context(line)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), json_schema())
    assert mistakes_of(text)


def test_a_small_configuration_has_sensible_defaults(config_of, monkeypatch):
    """Two names are enough."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ada/state")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/ada/cache")
    config = config_of(MINIMAL)
    (app,) = config.apps
    assert app.mode is Mode.OBSERVE
    assert app.path == ""
    assert config.sources[0].ref is None
    assert config.cluster_of(app).name == "default"
    assert config.cluster_of(app).kubeconfig is None
    assert config.web.listen == ListenAddress("127.0.0.1", 8080)
    assert re.fullmatch("sqlite:////home/ada/state/driftd/driftd-[0-9a-f]{12}.db", config.store_url)
    assert config.cache_dir == Path("/home/ada/cache/driftd/git")
    assert list(config.secrets()) == []


def test_a_pod_keeps_its_files_on_its_volume(config_of, monkeypatch):
    """Its root filesystem is read-only."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    config = config_of(MINIMAL)
    assert config.store_url == "sqlite:////var/lib/driftd/driftd.db"
    assert config.cache_dir == Path("/var/lib/driftd/git")


def test_paths_start_at_the_folder_of_the_file(config_of, tmp_path):
    """Not at the folder that driftd was started in."""
    config = config_of(
        MINIMAL.replace("https://git.example.com/shop.git", "repos/shop")
        + "store: {url: sqlite:///driftd.db}\nclusters: [{name: prod, kubeconfig: prod.kubeconfig}]\n"
    )
    assert config.sources[0].url == str(tmp_path / "repos/shop")
    assert config.store_url == f"sqlite:///{tmp_path / 'driftd.db'}"
    assert config.clusters[0].kubeconfig == tmp_path / "prod.kubeconfig"


def test_a_mistake_has_its_position_and_a_guess(mistakes_of):
    """File, line and column as compilers have them, the key's path, and a guess."""
    text = "sources: [{name: shop, url: https://git.example.com/shop.git}]\napps:\n  - name: web\n    source: shop\n"
    assert mistakes_of(text + "    mode: heall\n") == [
        'driftd.yaml:5:11: apps[0].mode: must be one of observe, approve, heal (got "heall"); did you mean "heal"?'
    ]


def test_all_mistakes_come_at_once_in_the_order_of_the_file(mistakes_of):
    """Whoever fixes a file does not want to start driftd ten times."""
    mistakes = mistakes_of(
        """\
clusters:
  - {name: prod, contxt: prod}
sources:
  - name: shop
    url: http://git.example.com/shop.git
    interval: 60
  - name: shop
    ref: {branch: main, tag: v1}
apps:
  - name: Web
    source: shp
    cluster: prd
    mode: heall
    mode: heal
    path: ../../etc
notify:
  slack: {channel: "#drift"}
web: {listen: 8080}
"""
    )
    assert [mistake.split(": ")[0] + ": " + mistake.split(": ")[1] for mistake in mistakes] == [
        "driftd.yaml:2:18: clusters[0].contxt",
        "driftd.yaml:5:10: sources[0].url",
        "driftd.yaml:6:15: sources[0].interval",
        "driftd.yaml:7:5: sources[1].url",
        "driftd.yaml:7:11: sources[1].name",
        "driftd.yaml:8:30: sources[1].ref.tag",
        "driftd.yaml:10:11: apps[0].name",
        "driftd.yaml:11:13: apps[0].source",
        "driftd.yaml:12:14: apps[0].cluster",
        "driftd.yaml:13:11: apps[0].mode",
        "driftd.yaml:14:5: apps[0].mode",
        "driftd.yaml:15:11: apps[0].path",
        "driftd.yaml:17:10: notify.slack",
        "driftd.yaml:17:20: notify.slack.channel",
        "driftd.yaml:18:15: web.listen",
    ]
    assert 'did you mean "context"?' in mistakes[0]
    assert 'did you mean "shop"?' in mistakes[7]
    assert 'did you mean "prod"?' in mistakes[8]
    assert "twice" in mistakes[10]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("auth: {token: hunter2hunter2}", "secrets are files, never values: use tokenFile or tokenEnv"),
        ("auth: {username: a, password: hunter2hunter2}", "use passwordFile or passwordEnv"),
        ("auth: {tokenEnv: hunter2-hunter2}", "the name of an environment variable, not its value"),
        ('auth: {sshKeyFile: "---BEGIN\\nhunter2hunter2", knownHostsFile: k}', "the path of a file, not what is in it"),
        ("auth: {tokenFile: ghp_hunter2hunter2}", "the path of a file, not what is in it"),
        ("auth: {tokenFile: xoxb-1-hunter2hunter2}", "the path of a file, not what is in it"),
        ("auth: {tokenFile: https://hooks.slack.com/hunter2}", "the path of a file, not what is in it"),
        ("auth: {tokenFile: hunter2Hunter2hunter2}", "the path of a file, not what is in it"),
        ("auth: {token: *hunter2}", "not readable as YAML: found undefined alias"),
        ("url: ada:hunter2hunter2@git.example.com/shop.git", "the url holds a login"),
        ("url: https://ada:hunter2hunter2@git.example.com/shop.git", "the url holds credentials"),
        ("url: https://hunter2hunter2@git.example.com/shop.git", "the url holds credentials"),
        ("url: ssh://git:hunter2hunter2@git.example.com/shop.git", "the url holds a password"),
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_repeated(line, message, mistakes_of):
    """Errors end up in logs and tickets."""
    text = in_context(line, "sources")
    if line.startswith("url"):
        text = text.replace("    url: https://git.example.com/shop.git\n", "")
    mistakes = mistakes_of(text)
    assert message in "\n".join(mistakes)
    assert "hunter2" not in "\n".join(mistakes)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("path: metadata.labels.app.kubernetes.io/name", 'metadata.labels["app.kubernetes.io/name"]'),
        (
            "path: spec.template.metadata.annotations.a.b/c",
            'path: has dots in a key, which takes brackets and quotes: spec.template.metadata.annotations["a.b/c"]',
        ),
        ("kind: [ConfigMap, Secret], path: data.app.properties", 'data["app.properties"]'),
        ("kind: deployment", "kind: must be a kind as manifests name it: Deployment"),
        ("kind: Deployment, group: apps/v1", "group: must be a group without its version: apps"),
        ("kind: []", "ignore[0].kind: must be a text, or a list of one or more"),
        ("cel: ''", "CEL: an expression must not be empty"),
        (f"cel: '{'(' * 200}true{')' * 200}'", "not a CEL expression: Recursion limit of 96 exceeded"),
        ("cel: \"field.live == 'hunter2' ((\"", "not a CEL expression: at character 26: Syntax error"),
    ],
)
def test_an_ignore_rule_that_can_match_nothing_is_refused(rule, says, mistakes_of):
    """What it was meant to protect would be healed. The expression itself is not repeated."""
    (mistake,) = mistakes_of(MINIMAL + f"ignore: [{{{rule}}}]\n")
    assert says in mistake
    assert "hunter2" not in mistake


@pytest.mark.parametrize(
    "path", ["data.a", "data", "metadata.labels.app", "metadata.annotations.*", 'data["a.b"]', "spec.data.a.b"]
)
def test_a_path_to_one_key_is_none(path, tmp_path, monkeypatch):
    """With its dots quoted, or without any."""
    monkeypatch.chdir(tmp_path)
    Path("driftd.yaml").write_text(MINIMAL + f"ignore: [{{kind: ConfigMap, path: '{path}'}}]\n")
    assert load(Path("driftd.yaml")).ignore[0].path == path


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (
            "notify: {slack: {tokenFile: t, channel: #drift}}",
            'in line 5 a # begins a comment in YAML: quote it, "#drift"',
        ),
        ("store: {url: sqlite:///x, password: #hunter2}", "in line 5 a # begins a comment in YAML: quote it"),
        ("store: {url: sqlite:///x, password: a #hunter2}", "in line 5 a # begins a comment in YAML: quote it"),
    ],
)
def test_a_comment_that_hides_the_end_of_brackets_is_told(line, says, mistakes_of):
    """YAML's own error is about the end of the file; no value but a channel is repeated."""
    (mistake,) = mistakes_of(MINIMAL + line + "\n")
    assert says in mistake
    assert "hunter2" not in mistake


def test_two_listeners_do_not_share_an_address(mistakes_of):
    """Only one of them could start; port 0 is another one each time."""
    (mistake,) = mistakes_of(MINIMAL + "web: {listen: ':8080', probes: ':8080'}\n")
    assert "web.probes: must be another address than that of listen" in mistake


@pytest.mark.parametrize(
    "login", ["driftd:hunter2@db/driftd", "db/driftd?user=a&password=hunter2", "db/driftd?sslpassword=hunter2"]
)
def test_a_password_in_the_stores_address_is_refused_and_never_repeated(login, mistakes_of):
    """PostgreSQL's password has a file, too."""
    (mistake,) = mistakes_of(MINIMAL + f"store: {{url: 'postgresql+psycopg://{login}'}}\n")
    assert "passwordFile or passwordEnv" in mistake
    assert "hunter2" not in mistake


@pytest.mark.parametrize(
    "url",
    [
        "http://git.example.com/shop.git",
        "git://git.example.com/shop.git",
        "ext::sh -c id",
        "ext::sh",
        "--upload-pack=id",
        "-oProxyCommand=id",
        "fd::17",
        "https://",
        "ssh://git.example.com:port/x",
        "",
    ],
)
def test_only_https_ssh_and_local_paths_are_sources(url, mistakes_of):
    """Git's other transports are in the clear, or run programs."""
    mistakes = mistakes_of(f"sources: [{{name: shop, url: {json.dumps(url)}}}]\n")
    assert len(mistakes) == 1
    assert "sources[0].url" in mistakes[0]


@pytest.mark.parametrize(
    "url", ["https://git.example.com/a.git", "ssh://git@h:2222/a", "git@git.example.com:a/b.git", "/srv/git/a.git"]
)
def test_addresses_are_taken_as_they_are(url, config_of):
    """https, ssh in both forms, and an absolute path."""
    assert config_of(f"sources: [{{name: shop, url: '{url}'}}]\n").sources[0].url == url


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ref: {}", "needs one of branch, tag, semver, commit"),
        ("ref: {branch: main, commit: 4f0c1a2b}", "cannot be there together with branch"),
        ("ref: {branch: --upload-pack=x}", "is not a name that Git allows"),
        ("ref: {branch: 'a..b'}", "is not a name that Git allows"),
        ("ref: {commit: main}", "must be a commit's hash"),
        ("ref: {semver: latest}", "must be a range of versions"),
        ("auth: {sshKeyFile: k, knownHostsFile: h}", "an https address takes a token"),
        ("auth: {passwordFile: p}", "needs username or usernameFile or usernameEnv"),
        ("auth: {tokenFile: a, tokenEnv: B}", "cannot be there together with tokenFile"),
        ("interval: 0s", "must be one second at least"),
        ("timeout: 100ms", "must be one second at least"),
        ("auth: [a]", "must be a mapping"),
    ],
)
def test_keys_of_a_source_that_do_not_fit_together_are_mistakes(line, message, mistakes_of):
    """Each with the sentence that helps."""
    assert message in "\n".join(mistakes_of(in_context(line, "sources")))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("path: /etc", "relative to the repository's root"),
        ("path: a/../../b", "must not lead out of the repository"),
        ("path: 'a\\b'", "with / between its folders"),
        ("rollback: auto", "works in mode approve or heal"),
        ("takeOver: true", "works in mode approve or heal"),
        ("helm: {valuesFiles: [../x.yaml]}", "must not lead out of the repository"),
        ("helm: {valuesFiles: [/../x.yaml]}", "must not lead out of the repository"),
        ("helm: {valuesFiles: ['https://example.com/x.yaml']}", "must not lead out of the repository"),
        ("helm: {valuesFiles: x.yaml}", "must be a list"),
        ("namespace: Not_OK", "as a Kubernetes label has it"),
    ],
)
def test_keys_of_an_app_that_lead_nowhere_are_mistakes(line, message, mistakes_of):
    """Each with the sentence that helps."""
    assert message in "\n".join(mistakes_of(in_context(line)))


@pytest.mark.parametrize("deploys", ["app", "default"])
def test_an_app_that_somebody_else_deploys_is_not_rolled_back(deploys, mistakes_of):
    """Whether its own key says so, or the default for all apps."""
    text = in_context("rollback: auto\n    mode: heal" + ("\n    deploys: false" if deploys == "app" else ""))
    mistakes = "\n".join(mistakes_of(text + ("" if deploys == "app" else "deploys: false\n")))
    assert "the deployer of this one rolls it back" in mistakes


@pytest.mark.parametrize("deploys", ["app", "default"])
def test_nothing_is_taken_over_of_an_app_that_somebody_else_deploys(deploys, mistakes_of):
    """It is a mistake of the app's key; the default for all apps holds for those that driftd deploys."""
    text = in_context("takeOver: true\n    mode: heal" + ("\n    deploys: false" if deploys == "app" else ""))
    mistakes = "\n".join(mistakes_of(text + ("" if deploys == "app" else "deploys: false\n")))
    assert "nothing is taken over from their deployer" in mistakes


def test_an_app_takes_over_as_its_key_or_the_default_says(config_of):
    """The app's key wins."""
    for line, default, expected in (
        ("", True, True),
        ("takeOver: false", True, False),
        ("takeOver: true", False, True),
    ):
        config = config_of(in_context(f"mode: heal\n    {line}") + f"takeOver: {str(default).lower()}\n")
        assert app_of(config.apps[0], config).take_over is expected


@pytest.mark.parametrize(
    ("given", "path"), [("apps/web/", "apps/web"), ("./apps//web", "apps/web"), (".", ""), ("a/../b", "b")]
)
def test_a_path_in_the_repository_is_normalised(given, path, config_of):
    """`apps/web/` and `./apps/web` are the same folder."""
    assert config_of(in_context(f"path: {given}")).apps[0].path == path


def test_texts_that_look_like_numbers_stay_texts(config_of):
    """The tag 1.10 is not the number 1.1, the branch `on` is not true, and a commit may have no letters."""

    def ref(text):
        return config_of(in_context(f"ref: {{{text}}}", "sources")).sources[0].ref

    assert ref("tag: 1.10").tag == "1.10"
    assert ref("branch: on").branch == "on"
    assert ref("commit: 12345678").commit == "12345678"


def test_an_empty_value_counts_as_left_out(config_of):
    """As null does everywhere in Kubernetes."""
    assert config_of(in_context("namespace:\n    path: null")).apps[0].namespace is None


def test_anchors_and_merges_work(config_of):
    """What an app does not say itself comes from the anchored mapping."""
    config = config_of(
        """\
sources: [{name: shop, url: /srv/shop}]
apps:
  - &web {name: web, source: shop, mode: heal, interval: 1m}
  - {<<: *web, name: api, interval: 2m}
"""
    )
    assert [(a.name, a.mode, a.interval.seconds) for a in config.apps] == [("web", "heal", 60), ("api", "heal", 120)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("apps: [\n", "driftd.yaml:2:1: not readable as YAML"),
        ("a: 1\n---\nb: 2\n", "not readable as YAML"),
        ("- a\n", "must be a mapping"),
        ("apps:\n\t- a\n", "driftd.yaml:2:1: not readable as YAML"),
        ("log: !!python/object/apply:os.system [id]\n", "has no meaning here"),
        ("? [a]\n: b\n", "a key must be a word"),
        ("a: \x07\n", "driftd.yaml:1:1: character U+0007 is not allowed"),
        (b"a: \xff\n", "not UTF-8"),
        ("[" * 5_000, "nested deeper"),
        ("&a [*a]", "nested deeper"),
        ("apps: &a {<<: *a}", "a mapping merges itself"),
        ("apps: &a [{<<: *a}]", "a mapping merges itself"),
        ("a: " + "x" * 2_000_000, "larger than"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")),
            "more than",
        ),
    ],
)
def test_what_is_no_configuration_at_all_is_refused_kindly(text, message, mistakes_of):
    """No traceback, no endless reading, nothing executed."""
    assert message in "\n".join(mistakes_of(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    """And nothing else is said."""
    with pytest.raises(ConfigError, match=r"nope\.yaml: there is no such file$"):
        load(tmp_path / "nope.yaml")


def test_another_version_of_the_format_is_refused(mistakes_of):
    """So that a later format is never half understood."""
    assert 'must be driftd.io/v1alpha1 (got "driftd.io/v2")' in mistakes_of(f"apiVersion: driftd.io/v2\n{MINIMAL}")[0]


def test_a_reference_to_nothing_lists_what_there_is(mistakes_of):
    """When no name is close, all are listed."""
    (mistake,) = mistakes_of(MINIMAL.replace("source: shop", "source: zzzz"))
    assert mistake.endswith("apps[0].source: there is no source with this name; there are shop")


def test_equal_files_give_equal_configurations(config_of):
    """A reload that changes nothing can be told from one that does."""
    assert config_of(MINIMAL) == config_of(MINIMAL)
    assert config_of(MINIMAL) != config_of(MINIMAL.replace("web", "api"))


def test_slack_takes_a_bot_or_a_webhook(config_of, mistakes_of):
    """And not halves of both."""
    config = config_of(MINIMAL + "notify: {slack: {webhookUrlEnv: HOOK}}\n")
    assert config.notify.slack.webhook_url == SecretEnv("notify.slack.webhookUrlEnv", "HOOK")
    message = "\n".join(mistakes_of(MINIMAL + "notify: {slack: {tokenEnv: T, webhookUrlEnv: HOOK}}\n"))
    assert "cannot be there together with tokenEnv" in message
    assert "needs channel beside it" in message


def test_each_configuration_has_a_store_of_its_own(tmp_path, monkeypatch):
    """Apps of the same name do not mix; from wherever a command names the file, it is the same store."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    for folder in ("staging", "prod"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "driftd.yaml").write_text(MINIMAL)
    staging, prod = (load(tmp_path / folder / "driftd.yaml").store_url for folder in ("staging", "prod"))
    assert staging != prod
    monkeypatch.chdir(tmp_path / "prod")
    assert load(Path("driftd.yaml")).store_url == load(Path("../prod/driftd.yaml")).store_url == prod


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("spec..replicas[", "empty part"),
        ("spec.replicas[", "not closed"),
        ("/spec/replicas", "joined by dots"),
        (".spec.replicas", "starts with .:"),
        ("$.spec.replicas", "starts with $.:"),
        ("spec.replicas.", "no name after a dot"),
        ("metadata.labels[a.b/c]", "none of [name=value]"),
        ("spec.containers[]", "none of [name=value]"),
        ("spec replicas", "from here on"),
        ("spec.replicas]", "from here on"),
    ],
)
@pytest.mark.parametrize("place", ["ignore: [{{path: {}}}]", "managers: {{writes: [{{manager: m, path: [{}]}}]}}"])
def test_a_path_that_no_field_can_have_is_a_mistake(mistakes_of, path, word, place):
    """It would pass over nothing, and its owner would not know."""
    (mistake,) = mistakes_of(MINIMAL + place.format(json.dumps(path)) + "\n")
    assert ".path" in mistake
    assert word in mistake


@pytest.mark.parametrize(
    "path",
    [
        "spec", "*", "spec.*", "*.image", "spec.template.spec.containers[name=*].image", "spec.finalizers[=a.b/c]",
        'metadata.annotations["example.com/*"]', "spec.ports[containerPort=80,protocol=TCP]", "spec.items[0].x",
        "spec.items[*].x", 'data["a b"]', '["a.b"].c', "spec.template*image", 'spec.a[k="x y"]',
    ],
)  # fmt: skip
def test_a_path_in_each_form_of_the_reports_is_none(config_of, path):
    """As `check` prints it, with * for any run of characters."""
    assert config_of(f"{MINIMAL}ignore: [{{path: {json.dumps(path)}}}]\n").ignore[0].path == path


@pytest.mark.parametrize(
    "text", ["notify:\n  slack:\n    tokenFile: t\n    channel: #drift\n", "ignore:\n  - #drift\n"]
)
def test_an_unquoted_hash_in_place_of_a_value_is_told_to_be_quoted(mistakes_of, text):
    """YAML reads a comment, and no value."""
    assert any('quote it, "#drift"' in mistake for mistake in mistakes_of(MINIMAL + text))


def test_a_comment_after_an_empty_key_is_a_comment(config_of):
    """Only one word that clings to its # is taken for a value."""
    assert config_of(MINIMAL + "clusters: # none so far\nlog: #\n").clusters == ()


@pytest.mark.parametrize("line", ["settle: 11m", "deadline: 20s"])
def test_a_revision_must_be_able_to_be_good_before_it_is_bad(mistakes_of, line):
    """Also where one of the two is the default."""
    (mistake,) = mistakes_of(in_context(line))
    assert "must not be longer than deadline" in mistake
