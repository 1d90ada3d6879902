"""The files that Git and ssh take, of what a source holds in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from driftd.git.address import Transport
from driftd.git.source import ClientCertificate, GitSource, SshAuth
from driftd.process.private_file import private_file


@contextmanager
def as_files(source: GitSource) -> Iterator[GitSource]:
    """The same source with files in place of what it holds, for as long as Git needs them."""
    held = source.held
    if held is None:
        yield source
        return
    with ExitStack() as stack:

        def file(text: str | None) -> Path | None:
            return stack.enter_context(private_file(f"{text.rstrip()}\n")) if text is not None else None

        if source.address.transport is Transport.SSH:
            auth = SshAuth(file(held.ssh_key), file(held.known_hosts))
            yield replace(source, held=None, auth=auth)
            return
        certificate, key = file(held.client_certificate), file(held.client_key)
        own = ClientCertificate(certificate, key) if certificate is not None and key is not None else None
        yield replace(source, held=None, ca_file=file(held.ca) or source.ca_file, client_certificate=own)
