"""The notification channels of a configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from driftd.config.settings import Config
from driftd.model.incident import Notification
from driftd.notify.channel import Channel


class ObservedChannel:
    """A channel that calls `on_delivery` with its name and whether a delivery succeeded."""

    def __init__(self, channel: Channel, on_delivery: Callable[[str, bool], None]) -> None:
        self._channel = channel
        self._on_delivery = on_delivery

    @property
    def name(self) -> str:
        return self._channel.name

    async def send(self, notification: Notification, receipt: str | None) -> str | None:
        try:
            new_receipt = await self._channel.send(notification, receipt)
        except Exception:  # NotifyError, or a defect
            self._on_delivery(self.name, False)  # the callback has this one flag
            raise
        self._on_delivery(self.name, True)  # as above
        return new_receipt

    async def close(self) -> None:
        await self._channel.close()


def channels(config: Config) -> Iterator[Channel]:
    """The configured channels."""
    slack = config.notify.slack
    if slack is not None and slack.token is not None and slack.channel is not None:
        from driftd.notify.slack_channel import SlackChannel  # noqa: PLC0415  # aiohttp is slow to import

        yield SlackChannel(token=slack.token, channel=slack.channel, api_url=slack.api_url)
    elif slack is not None and slack.webhook_url is not None:
        from driftd.notify.slack_webhook import SlackWebhookChannel  # noqa: PLC0415  # as above

        yield SlackWebhookChannel(url=slack.webhook_url)
    for webhook in config.notify.webhooks:
        from driftd.notify.webhook import WebhookChannel  # noqa: PLC0415  # as above

        yield WebhookChannel(name=webhook.name, url=webhook.url, secret=webhook.secret)
