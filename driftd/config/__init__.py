"""The configuration: one YAML file, validated with the place of every mistake."""

from __future__ import annotations

from driftd.config.app import AppConfig, HelmConfig
from driftd.config.duration import Duration, format_duration, parse_duration
from driftd.config.folders import cache_folder, state_folder
from driftd.config.loading import load, parse, unusable_files
from driftd.config.notify import NotifyConfig, SlackConfig, WebhookConfig
from driftd.config.schema import json_schema, schema_text
from driftd.config.secret import PlainText, Secret, SecretEnv, SecretFile, Text
from driftd.config.settings import (
    DEFAULT_CLUSTER,
    ClusterConfig,
    Config,
    LogConfig,
    LogFormat,
    LogLevel,
    StoreConfig,
    WebConfig,
)
from driftd.config.source import AuthConfig, RefConfig, SourceConfig
from driftd.config.values import Address, parse_address
from driftd.model.errors import ConfigError

__all__ = [
    "DEFAULT_CLUSTER",
    "Address",
    "AppConfig",
    "AuthConfig",
    "ClusterConfig",
    "Config",
    "ConfigError",
    "Duration",
    "HelmConfig",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "NotifyConfig",
    "PlainText",
    "RefConfig",
    "Secret",
    "SecretEnv",
    "SecretFile",
    "SlackConfig",
    "SourceConfig",
    "StoreConfig",
    "Text",
    "WebConfig",
    "WebhookConfig",
    "cache_folder",
    "format_duration",
    "json_schema",
    "load",
    "parse",
    "parse_address",
    "parse_duration",
    "schema_text",
    "state_folder",
    "unusable_files",
]
