"""An in-memory Kubernetes API over HTTP, and a Slack-compatible endpoint: for the demo, scale runs and fault injection.

`Sandbox` is the cluster (`driftd.sandbox.server`), `SlackSandbox` the chat (`driftd.sandbox.slack.workspace`).
"""
