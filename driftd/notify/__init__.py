"""Tells people and programs what happened to an incident: Slack, signed webhooks, and the outbox behind them."""
