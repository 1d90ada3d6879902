"""The configuration of notifications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from driftd.config.secret import SecretReference, secret_reference
from driftd.config.section import KeyRule, Needs, OneOf, Section
from driftd.config.values import FilePath, HttpUrl, Name, Variable

_TOKEN_KEYS = ("tokenFile", "tokenEnv")


class SlackConfig(Section):
    """A Slack channel: by a bot's token, or by an incoming webhook."""

    rules: ClassVar[tuple[KeyRule, ...]] = (
        OneOf((*_TOKEN_KEYS, "webhookUrlFile", "webhookUrlEnv"), required=True),
        Needs(_TOKEN_KEYS, ("channel",), "a bot is in many channels"),
        Needs(("channel", "apiUrl"), _TOKEN_KEYS, "an incoming webhook has its own channel and address"),
    )

    token_file: FilePath | None = Field(default=None, description="A file that holds the bot's token (xoxb-…).")
    token_env: Variable | None = Field(default=None, description="A variable that holds the bot's token.")
    channel: str | None = Field(default=None, min_length=1, description="With a token: the channel, by name or by id.")
    api_url: HttpUrl | None = Field(
        default=None, description="With a token: Slack's API elsewhere, for tests and proxies."
    )
    webhook_url_file: FilePath | None = Field(
        default=None, description="A file that holds an incoming webhook's address."
    )
    webhook_url_env: Variable | None = Field(
        default=None, description="A variable that holds an incoming webhook's address."
    )

    @property
    def token(self) -> SecretReference | None:
        return secret_reference("notify.slack.token", self.token_file, self.token_env)

    @property
    def webhook_url(self) -> SecretReference | None:
        return secret_reference("notify.slack.webhookUrl", self.webhook_url_file, self.webhook_url_env)


class WebhookConfig(Section):
    """An address that gets every message as signed JSON."""

    rules: ClassVar[tuple[KeyRule, ...]] = (OneOf(("secretFile", "secretEnv"), required=True),)

    name: Name = Field(description="What it is called in metrics and logs. Unique.")
    url: HttpUrl = Field(description="Where to post to.")
    secret_file: FilePath | None = Field(default=None, description="A file that holds the key of the signature.")
    secret_env: Variable | None = Field(default=None, description="A variable that holds the key of the signature.")

    @property
    def secret(self) -> SecretReference:
        reference = secret_reference(f"notify.webhooks.{self.name}.secret", self.secret_file, self.secret_env)
        if reference is None:
            raise AssertionError("the rules of this section require one of the two")
        return reference


class NotifyConfig(Section):
    """Who is told about drift, repairs and trouble."""

    slack: SlackConfig | None = Field(default=None, description="A Slack channel.")
    webhooks: tuple[WebhookConfig, ...] = Field(default=(), description="Addresses that get signed JSON.")

    def secrets(self) -> Iterator[tuple[str, SecretReference]]:
        """The secrets of all channels, by their keys."""
        if self.slack:
            for reference in (self.slack.token, self.slack.webhook_url):
                if reference:
                    yield reference.key, reference
        for index, webhook in enumerate(self.webhooks):
            suffix = "secretFile" if webhook.secret_file else "secretEnv"
            yield f"notify.webhooks[{index}].{suffix}", webhook.secret
