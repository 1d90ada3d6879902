"""Notifications about incidents: Slack, signed webhooks, and the dispatcher of the outbox."""
