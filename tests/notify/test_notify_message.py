"""The content of messages, and what they never contain."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import notify_world as world
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftd.model.claim import Claim
from driftd.model.drift import Change, Status
from driftd.model.incident import Ended, IncidentEvent, IncidentType, Resolution
from driftd.notify import slack, wording
from driftd.notify.message import compose
from driftd.sandbox.slack.blockkit import block_mistakes


def written(notification) -> str:
    """The whole message as Slack would show it to a reader: blocks only, unescaped."""
    texts = []
    for block in slack.blocks(compose(notification)):
        texts += [block["text"]["text"]] if "text" in block else [e["text"] for e in block["elements"]]
    return plain("\n".join(texts))


def plain(text: str) -> str:
    for escaped, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"), ("\N{WORD JOINER}", "")):
        text = text.replace(escaped, character)
    return text


def test_a_drift_message_says_what_who_when_and_where():
    """Object, field, both values, the manager, the time, and the line of Git with commit and author."""
    assert written(world.notification_of(world.OPENED)).splitlines() == [
        "⚠️ *web on prod has drifted from Git 4f0c1234: 1 object (1 drifted), 1 field*",
        "*Deployment* `web/web` drifted · `apps/web/deploy.yaml:1`",
        "• `spec.template.spec.containers[name=web].image`: Git `nginx:1.25` → live `nginx:1.26`",
        "     by `kubectl-edit, 2026-11-22 08:52:11 UTC` · Git `apps/web/deploy.yaml:14, 4f0c1234 by Ada`",
        "first seen 2026-11-22 08:52:11 UTC · incident incident",
    ]


def test_a_message_says_whom_a_difference_is_left_to():
    """At the field, or at the object where it is all of it."""
    finalizer = replace(world.drift(), left_to="its controllers: they clean up by it")
    lag = replace(world.drifted("b"), status=Status.MISSING, left_to="the app's deployer: Git has moved on")
    message = written(world.notification_of(world.OPENED, world.incident(world.drifted("a", finalizer), lag)))
    assert "4f0c1234 by Ada` · left to its controllers: they clean up by it\n" in message
    assert "missing from the cluster · `apps/web/deploy.yaml:1`\nleft to the app's deployer: Git has" in message


def test_a_user_from_an_audit_event_is_named_before_the_manager():
    """A person is what readers look for first."""
    owner = replace(world.drift().by, user="ada@example.com", subresource="scale")
    about = world.incident(world.drifted("web", replace(world.drift(), by=owner)))
    assert "`ada@example.com with kubectl-edit on scale, 2026-11-22" in written(
        world.notification_of(world.OPENED, about)
    )


def test_every_kind_of_difference_has_its_own_words():
    """Removed and added fields, missing and orphaned objects."""
    about = world.incident(
        world.drifted("a", world.drift(live=None, change=Change.REMOVED)),
        world.drifted("b", world.drift(desired=None, live={"x": 1}, change=Change.ADDED)),
        world.drifted("c", status=Status.MISSING),
        world.drifted("d", status=Status.ORPHANED),
    )
    text = written(world.notification_of(world.OPENED, about))
    assert "4 objects (2 drifted, 1 missing, 1 orphaned), 2 fields" in text
    assert "image`: removed, was `nginx:1.25`" in text
    assert 'image`: added `{"x": 1}`' in text
    assert "`web/c` missing from the cluster" in text
    assert "`web/d` in the cluster, not in Git" in text


@pytest.mark.parametrize(
    ("resolution", "words"),
    [
        (Resolution.HEALED, "drift is over: healed by driftd after 42 s"),
        (Resolution.REVERTED, "drift is over: put back by somebody else after 42 s"),
        (Resolution.ACCEPTED, "drift is over: accepted: Git now declares what is live after 42 s"),
        (Resolution.IGNORED, "drift is over: ignored by a rule after 42 s"),
        (Resolution.DELETED, "drift is over: deleted, without driftd after 42 s"),
        (Resolution.ROLLED_BACK, "drift is over: the app was rolled back after 42 s"),
        (Resolution.SUPERSEDED, "drift is over: superseded: Git has moved on after 42 s"),
    ],
)
def test_a_resolved_message_says_how_and_after_how_long(resolution: Resolution, words: str):
    """A green mark, the objects struck through, in the past tense."""
    text = written(world.notification_of(world.RESOLVED, resolution=resolution))
    assert text.splitlines()[0] == f"✅ *web on prod: {words}*"
    assert "~Deployment `web/web`~ was drifted" in text
    assert "resolved 2026-11-22 08:52:53 UTC" in text
    assert (
        plain(slack.resolved_reply(compose(world.notification_of(world.RESOLVED))))
        == "✅ resolved: healed by driftd after 42 s"
    )


def test_what_is_over_stays_in_the_message_of_what_goes_on():
    """Struck through, with its fields, and how and when it ended."""
    over = Ended(world.drifted("healed"), Resolution.HEALED, world.T0 + timedelta(seconds=9), "driftd")
    about = replace(world.incident(world.drifted("old", status=Status.ORPHANED)), ended=(over,))
    text = written(world.notification_of(world.CHANGED, about))
    assert "*Deployment* `web/old` in the cluster, not in Git" in text
    assert "~Deployment~" not in text
    assert "~Deployment `web/healed`~ was drifted: healed by driftd, 2026-11-22 08:52:20 UTC" in text
    assert "image`: Git `nginx:1.25` → live `nginx:1.26`" in text


def test_a_resolved_message_names_who_put_it_back():
    """The field manager, where it is known."""
    end = world.T0 + timedelta(seconds=42)
    about = replace(world.incident(), ended=(Ended(world.drifted("a"), Resolution.REVERTED, end, "argocd-controller"),))
    text = written(world.notification_of(world.RESOLVED, about, Resolution.REVERTED))
    assert "drift is over: put back by argocd-controller after 42 s" in text


def test_objects_that_ended_in_several_ways_each_say_how():
    """And who asked for it, where a person did."""
    end = world.T0 + timedelta(seconds=42)
    about = replace(
        world.incident(),
        ended=(
            Ended(world.drifted("a"), Resolution.HEALED, end, "ann@laptop"),
            Ended(world.drifted("b", status=Status.ORPHANED), Resolution.DELETED, end),
        ),
    )
    text = written(world.notification_of(world.RESOLVED, about, Resolution.MIXED))
    assert "drift is over: each object in its own way after 42 s" in text
    assert "~Deployment `web/a`~ was drifted: healed by driftd, asked by ann@laptop, 2026-11-22 08:52:53 UTC" in text
    assert "~Deployment `web/b`~ was in the cluster, not in Git: deleted, without driftd" in text


def test_a_message_says_from_whom_an_object_was_taken_over():
    """Also where it is the only one, so that all of it has ended in one way."""
    end = world.T0 + timedelta(seconds=42)
    argo = Claim("Argo CD", "application argocd/web")
    ended = (Ended(world.drifted("web"), Resolution.HEALED, end, "driftd", "w1", argo),)
    text = written(world.notification_of(world.RESOLVED, replace(world.incident(), ended=ended), Resolution.HEALED))
    assert "healed by driftd, and taken over from Argo CD (application argocd/web), 2026-11-22 08:52:53 UTC" in text


@pytest.mark.parametrize(
    ("kind", "headline"),
    [
        (IncidentType.UNHEALTHY, "💔 *web on prod is not healthy at 4f0c1234*"),
        (IncidentType.SYNC_FAILED, "❌ *web on prod could not be synced to Git 4f0c1234*"),
        (IncidentType.ROLLBACK, "⏪ *web on prod was rolled back from Git 4f0c1234*"),
        (IncidentType.SOURCE, "🔌 *web on prod: what Git declares cannot be read (in use: 4f0c1234)*"),
    ],
)
def test_incidents_that_are_not_about_fields_have_their_own_words(kind: IncidentType, headline: str):
    """The headline says the kind of error, the sentence of the incident follows as it is."""
    about = world.incident(kind=kind, message="Deployment/web: 2 of 3 *ready*\nsecond line")
    assert written(world.notification_of(world.OPENED, about)).splitlines()[:3] == [
        headline,
        "> `Deployment/web: 2 of 3 *ready*`",
        "> `second line`",
    ]


@pytest.mark.parametrize("kind", IncidentType)
@pytest.mark.parametrize("event", IncidentEvent)
def test_every_type_and_event_has_a_message(kind: IncidentType, event: IncidentEvent):
    """Also without a revision and a cluster."""
    about = replace(world.incident(kind=kind), revision=None, cluster="")
    assert written(world.notification_of(event, about)).splitlines()[0].count("web") == 1


def test_objects_and_fields_beyond_the_limits_are_counted():
    """Ten objects, thirty fields, then a number."""
    objects = [world.drifted(f"web-{i}", *[world.drift(i, 10 + i)] * 5) for i in range(25)]
    text = written(world.notification_of(world.OPENED, world.incident(*objects)))
    assert "25 objects (25 drifted), 125 fields" in text
    assert text.count("• `") <= 30
    assert text.count("*Deployment*") == 10
    assert "… and 15 more objects" in text
    assert "… and 5 more fields" in text


def test_a_changed_file_in_a_configmap_shows_as_a_line_diff():
    """A few lines, not two copies of the file."""
    desired = "".join(f"key-{i}: {i}\n" for i in range(500))
    live = desired.replace("key-250: 250", "key-250: 9")
    text = written(
        world.notification_of(world.OPENED, world.incident(world.drifted("web", world.drift(desired, live))))
    )
    assert "```\n-key-250: 250\n+key-250: 9\n```" in text
    assert len(text) < 600


def test_long_values_show_the_part_that_differs():
    """Two digests that begin alike can be distinguished."""
    desired, live = "registry.example.com/" + "a" * 200 + "1", "registry.example.com/" + "a" * 200 + "2"
    left, right = wording.pair(desired, live)
    assert left != right
    assert max(len(left), len(right)) <= wording.SHORT


def test_huge_values_are_truncated_before_they_are_compared():
    """A megabyte that differs everywhere takes no noticeable time."""
    lines = wording.line_diff("x\n" * 400_000, "y\n" * 400_000)
    assert lines is not None
    assert len(lines) == 9
    assert "more lines" in lines[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (42.4, "42 s"), (60, "1 min"), (303, "5 min 3 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_durations_have_two_units_at_most(seconds: float, words: str):
    """As people write them."""
    assert wording.duration(timedelta(seconds=seconds)) == words


NASTY = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "<!channel>", "<!here|x>", "<@U0123>", "@here", "@channel hello", "<https://evil.example|docs>",
            "&lt;!channel&gt;",
            "`<!channel>`", "```\n<!everyone>\n```", "*bold* _it_ ~gone~", "a\u202ereversed", "\x00\x1b[31m",
            "x" * 5000, "&" * 5000,
            "`" * 200, "line\n" * 400, "<" * 3000, "é" * 400,
        ]
    ),
)  # fmt: skip
VALUES = st.one_of(
    NASTY, st.none(), st.integers(), st.lists(NASTY, max_size=3), st.dictionaries(NASTY, NASTY, max_size=3)
)


@st.composite
def notifications(draw: st.DrawFn):
    fields = st.builds(
        lambda desired, live, change, manager, key: replace(
            world.drift(desired, live, change, manager), path=("data", key)
        ),
        VALUES, VALUES, st.sampled_from(Change), NASTY, NASTY,
    )  # fmt: skip
    objects = st.builds(
        lambda name, fields, error: replace(world.drifted(name, *fields), error=error),
        NASTY, st.lists(fields, min_size=1, max_size=8), st.none() | NASTY,
    )  # fmt: skip
    about = world.incident(
        *draw(st.lists(objects, max_size=14)), kind=draw(st.sampled_from(IncidentType)), message=draw(NASTY)
    )
    about = replace(about, app=draw(NASTY), cluster=draw(NASTY))
    return world.notification_of(draw(st.sampled_from(IncidentEvent)), about)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(notifications())
def test_no_text_from_a_cluster_can_mention_people_make_links_or_exceed_limits(notification):
    """Names, values, managers and messages: no raw angle bracket, no mention, no oversized block."""
    message = compose(notification)
    blocks, fallback = slack.blocks(message), slack.fallback(message)
    assert block_mistakes(blocks) == []
    assert len(blocks) <= 50
    assert sum(len(json.dumps(b, ensure_ascii=False)) for b in blocks) <= 13_000
    texts = [fallback, slack.resolved_reply(message)]
    for block in blocks:
        parts = [block["text"]] if block["type"] == "section" else block["elements"]
        assert all(part["type"] == "mrkdwn" and part["verbatim"] for part in parts)
        texts += [part["text"] for part in parts]
    for text in texts:
        assert 1 <= len(text) <= 3_000
        without_quotes = re.sub(r"^> ", "", text, flags=re.MULTILINE)
        assert not re.search(r"[<>]", without_quotes)
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert not re.search(r"@(here|channel|everyone)", text, re.IGNORECASE)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)
    for text in texts[2:]:
        assert text.count("```") % 2 == 0
        spans = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert all(line.count("`") % 2 == 0 for line in spans.splitlines())
        json.dumps(text).encode()


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=12, max_size=40))
def test_a_redacted_secret_is_in_no_part_of_a_message(secret: str):
    """Messages contain nothing but the fields that they are given, which are redacted."""
    redacted = world.drift("<redacted:1a2b3c4d>", "<redacted:99887766>")
    text = written(world.notification_of(world.OPENED, world.incident(world.drifted("web", redacted))))
    assert secret not in text
    assert "Git `<redacted:1a2b3c4d>` → live `<redacted:99887766>`" in text
