"""A Slack workspace in memory, which checks Block Kit as Slack does."""
