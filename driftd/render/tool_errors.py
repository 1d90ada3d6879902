"""What may be repeated of an error of kustomize or Helm: what is wrong, and never a value of a file.

Both quote what they read: a literal, a patch, the message that a chart gives to `fail`. So an error is only told where
its text has a known form, and then with the parts of it that are names of fields, functions, objects or types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Describe = Callable[[re.Match[str]], str]

_SYNTAX = (
    "block collections are not allowed in this context",
    "block mapping entries are not allowed in this context",
    "block sequence entries are not allowed in this context",
    "control characters are not allowed",
    "could not find expected ':'",
    "did not find expected ',' or ']'",
    "did not find expected ',' or '}'",
    "did not find expected '-' indicator",
    "did not find expected <document start>",
    "did not find expected alphabetic or numeric character",
    "did not find expected comment or line break",
    "did not find expected hexdecimal number",
    "did not find expected key",
    "did not find expected node content",
    "did not find expected whitespace or line break",
    "document contains excessive aliasing",
    "exceeded max depth",
    "found a tab character",
    "found an indentation indicator equal to 0",
    "found character that cannot start any token",
    "found duplicate",
    "found incompatible YAML document",
    "found undefined tag handle",
    "found unexpected document indicator",
    "found unexpected end of stream",
    "found unknown escape character",
    "invalid leading UTF-8 octet",
    "invalid trailing UTF-8 octet",
    "mapping keys are not allowed in this context",
    "mapping values are not allowed in this context",
    "unknown anchor",
)
"""Errors of go-yaml's scanner and parser that quote nothing."""

_ID = r"(?P<id>[\w.-]+\.\[?\w+\]?\.\[?[\w.-]+\]?/[\w.:-]+)"
"""An object as kustomize names it: `Deployment.v1.apps/web.[noNs]`."""


def _yaml(match: re.Match[str]) -> str:
    line = f" at line {match['line']}" if match["line"] else ""
    return f"YAML parse error{line}: {match['syntax']}"


def _type_mismatch(match: re.Match[str]) -> str:
    return f"at {match['at'] or '/'}: got {match['got']}, want {match['want']}"


def _schema(match: re.Match[str]) -> str:
    """Helm's list of the values that a chart's schema refuses."""
    lines = match["lines"].splitlines()
    told = [describe(found) for line in lines for pattern, describe in _SCHEMA if (found := pattern.search(line))]
    return "; ".join(["values.schema.json refuses values", *told][:12])


def _says(text: str) -> Describe:
    """The template filled with the groups of the match."""
    return lambda match: text.format(**match.groupdict())


_SCHEMA: Sequence[tuple[re.Pattern[str], Describe]] = (
    (re.compile(r"^\s*- at '(?P<at>[^']*)': got (?P<got>\w+), want (?P<want>[\w ]+)$"), _type_mismatch),
    (
        re.compile(r"^\s*- at '(?P<at>[^']*)': missing propert(?:y|ies) (?P<names>[\w', -]+)$"),
        _says("at {at}: missing {names}"),
    ),
    (
        re.compile(r"^\s*- at '(?P<at>[^']*)': additional properties (?P<names>[\w', -]+) not allowed$"),
        _says("at {at}: {names} not allowed"),
    ),
    (re.compile(r"^\s*- at '(?P<at>[^']*)': \S"), _says("at {at}: not what the schema allows")),
)
_PATTERNS: Sequence[tuple[re.Pattern[str], Describe]] = (
    (
        re.compile(r"values don't meet the specifications of the schema\(s\)(?P<lines>.*)", re.DOTALL),
        _schema,
    ),
    (
        re.compile(r"^execution error at "),
        _says("the template ends the rendering with `fail` or `required`"),
    ),
    # What is inside of a text that a template evaluates is a value.
    (re.compile(r"error calling tpl:\s"), _says("error calling tpl")),
    (
        re.compile(rf"yaml: (?:line (?P<line>\d+): )?(?P<syntax>{'|'.join(map(re.escape, _SYNTAX))})"),
        _yaml,
    ),
    (
        re.compile(r"yaml: cannot decode !!(?P<got>\w+) .* as a !!(?P<want>\w+)", re.DOTALL),
        _says("YAML parse error: a value is no !!{want}"),
    ),
    (re.compile(r"(?P<what>(?:invalid Kustomization: )?json: unknown field \"[\w.$-]+\")"), _says("{what}")),
    (
        re.compile(
            r"json: cannot unmarshal (?P<got>\w+) into Go "
            r"(?:struct field (?P<field>[\w.-]+) of type|value of type) (?P<want>[\w.\[\]*]+)"
        ),
        lambda match: f"{match['field'] or 'the document'} is a {match['got']}, where {match['want']} is expected",
    ),
    (
        re.compile(r"(?P<what>nil pointer evaluating [\w.*{} ]+\.\w+)"),
        _says("{what}: a value that the template needs is not set"),
    ),
    (re.compile(r"(?P<what>can't evaluate field \w+ in type [\w.*{} ]+)"), _says("{what}")),
    (re.compile(r"(?P<what>function \"\w+\" not defined)"), _says("{what}")),
    (
        re.compile(r"error calling (?P<name>include|template):\s+template: no template "),
        _says("error calling {name}: there is no template of that name"),
    ),
    (re.compile(r"(?P<what>wrong number of args for \w+: want [\w ]+ got \d+)"), _says("{what}")),
    (re.compile(r"(?P<what>wrong type for value; expected [\w.*{} ]+; got [\w.*{} ]+)"), _says("{what}")),
    (re.compile(r"error calling (?P<name>\w+):\s"), _says("error calling {name}")),
    (re.compile(r"^parse error at "), _says("the template cannot be parsed")),
    (
        re.compile(r"chart requires kubeVersion: .* which is incompatible with Kubernetes (?P<version>v[\d.]+)"),
        _says("the chart's kubeVersion does not allow Kubernetes {version}"),
    ),
    (re.compile(r"validation: (?P<field>chart\.[\w.]+) "), _says("{field} is invalid")),
    (re.compile(r"(?P<what>release name .* )"), _says("the release name is invalid")),
    (
        re.compile(rf"may not add resource with an already registered id: {_ID}"),
        _says("may not add resource with an already registered id: {id}"),
    ),
    (
        re.compile(rf"no resource matches strategic merge patch \"?{_ID}"),
        _says("no resource matches strategic merge patch {id}"),
    ),
    (re.compile(rf"no matches for (?:Original)?Id {_ID}"), _says("no matches for Id {id}")),
    (re.compile(r"cycle detected"), _says("bases or components contain each other")),
    (
        re.compile(r"security; file .* is not in or below", re.DOTALL),
        _says("a file that it names is outside of its folder"),
    ),
    (
        re.compile(r"decompressed chart .*larger than the maximum"),
        _says("a chart is larger, unpacked, than Helm reads"),
    ),
    (re.compile(r"(?P<what>chart illegally references parent directory)"), _says("{what}")),
    (re.compile(r"(?P<what>double-star \(\*\*\) syntax is not supported)"), _says(".helmignore: {what}")),
    (
        re.compile(r"must specify --enable-helm"),
        _says("helmCharts are not inflated: kustomize runs no Helm here"),
    ),
    (re.compile(r"unable to parse SM or JSON patch"), _says("unable to parse SM or JSON patch")),
    (
        re.compile(r"(?P<op>add|remove|replace|move|copy|test) operation does not apply"),
        _says("{op} operation of a JSON patch does not apply"),
    ),
    (re.compile(r"invalid literal source"), _says("invalid literal source: expected key=value")),
    (
        re.compile(r"(?:lstat|stat|open) \S*/(?P<file>[\w.-]+): no such file or directory"),
        _says("there is no file {file} where one is named"),
    ),
    (
        re.compile(r"loading KV pairs: (?P<source>literal|file|env) source"),
        _says("invalid {source} source of a generator"),
    ),
    (
        re.compile(r"is missing for replacement (?P<end>source|target)"),
        _says("a field of a replacement {end} is missing"),
    ),
    (re.compile(r"cannot be mapped to a field in the set of known resources"), _says("a var has no field to refer to")),
    (
        re.compile(r"(?:unable to find|unable to load|external) plugins?|plugins? .*disabled"),
        _says("plugins are not run"),
    ),
)


def describe_tool_error(text: str, tool: str, command: str) -> str:
    """The error of a program without values of files. `command` shows the whole text to who may read them."""
    for pattern, describe in _PATTERNS:
        if match := pattern.search(text):
            return f"{tool}: {describe(match)}"
    return f"{tool} refuses it, in a text that may quote values and is not repeated: `{command}` shows it"
