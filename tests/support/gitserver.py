"""Temporary Git repositories, and servers for https and ssh."""

from __future__ import annotations

import asyncio
import base64
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import asyncssh

from tests.support.certificates import Authority

ANN = "Ann Author"
_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class GitRepo:
    """A repository with a working tree, created by the installed git without any user's configuration."""

    def __init__(self, folder: Path, branch: str = "main", *options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", f"--initial-branch={branch}", *options)

    @property
    def url(self) -> str:
        return str(self.folder)

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str, stdin: bytes = b"", **variables: str) -> str:
        """Runs git in the repository, and returns its output."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment = {
            **clean,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": ANN,
            "GIT_AUTHOR_EMAIL": "ann@example.com",
            "GIT_COMMITTER_NAME": "Carl Committer",
            "GIT_COMMITTER_EMAIL": "carl@example.com",
            **variables,
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, input=stdin, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"git {shlex.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode(errors="replace").strip()

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """A tree of modes, names and objects, possibly one that `git add` would never create."""
        data = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries)
        return self.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=data)

    def commit_tree(self, *entries: tuple[str, str, str]) -> None:
        """Commits such a tree as the content of `main`."""
        self.git("update-ref", "refs/heads/main", self.git("commit-tree", "-m", "Evil", self.tree(*entries)))

    def commit_link_over_folder(self, outside: Path) -> None:
        """Commits a link out of the repository and a folder with a file, both with the same name."""
        link = self.git("hash-object", "-w", "--stdin", stdin=str(outside).encode())
        file = self.git("hash-object", "-w", "--stdin", stdin=b"evil")
        self.commit_tree(("120000", "a", link), ("40000", "a", self.tree(("100644", "file", file))))

    def write(self, files: Mapping[str, str | bytes]) -> Self:
        """Writes files, by their paths in the repository."""
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def link(self, name: str, target: str) -> Self:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)
        return self

    def remove(self, *names: str) -> Self:
        for name in names:
            file = self.folder / name
            shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
        return self

    def commit(self, message: str = "Change things", *, author: str = ANN, date: datetime = _START) -> str:
        """Commits all changes, and returns the commit's hash."""
        self.git("add", "--all", "--force")
        when = date.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.git(
            "commit",
            "--quiet",
            "--allow-empty",
            "--no-gpg-sign",
            "-m",
            message,
            GIT_AUTHOR_NAME=author,
            GIT_AUTHOR_DATE=when,
            GIT_COMMITTER_DATE=when,
        )
        return self.head

    def tag(self, name: str, *, at: str = "HEAD", message: str | None = None) -> None:
        """Creates or moves a tag; with a message, an annotated one."""
        self.git("tag", "--force", *(["-a", "-m", message] if message else []), name, at)

    def branch(self, name: str, *, at: str = "HEAD") -> None:
        """Creates or moves a branch that is not checked out."""
        self.git("branch", "--force", name, at)

    def switch(self, name: str, *, new: bool = False) -> None:
        self.git("switch", "--quiet", *(["--create"] if new else []), name)

    def reset(self, to: str) -> None:
        """Resets the current branch and the files to a commit, like a force-push."""
        self.git("reset", "--quiet", "--hard", to)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a server received."""

    method: str
    path: str
    authorization: str | None

    @property
    def login(self) -> tuple[str, str] | None:
        """The user's name and password, if any."""
        if self.authorization is None or not self.authorization.startswith("Basic "):
            return None
        username, _, password = base64.b64decode(self.authorization.removeprefix("Basic ")).decode().partition(":")
        return username, password


class HttpsGitServer:
    """Serves the repositories in a folder by `git http-backend`, with TLS.

    `logins` are the accepted names and passwords; without any, access is anonymous. `redirect` redirects all requests
    to the address of another server. `requests` are all received requests.
    """

    def __init__(self, folder: Path, authority: Authority, logins: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.ca_file = authority.certificate
        self.logins = dict(logins or {})
        self.redirect: str | None = None
        self.requests: list[Request] = []
        self._pair = authority.server(f"git-{id(self)}", ["localhost", "127.0.0.1"])
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._pair.certificate, self._pair.key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._server = server
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    def url(self, name: str = "", host: str = "localhost") -> str:
        """The URL of a repository, by its folder's name."""
        return f"https://{host}:{self.port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    owner: HttpsGitServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Logs nothing: see `requests`."""

    def _answer(self) -> None:
        body = self._body()
        request = Request(self.command, self.path, self.headers.get("Authorization"))
        self.owner.requests.append(request)
        if self.owner.logins and (request.login is None or self.owner.logins.get(request.login[0]) != request.login[1]):
            return self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"who are you?\n")
        if self.owner.redirect is not None:
            return self._send(302, {"Location": self.owner.redirect + self.path}, b"")
        return self._backend(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": str(self.owner.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH": os.environ["PATH"],
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=variables, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = headers.pop("Status", "200 OK")
        self._send(int(status.split()[0]), headers, content)

    def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class SshGitServer:
    """Serves the repositories in a folder by ssh to clients with the client key.

    `key_file` and `known_hosts` are the files for a client; `stranger` is a key that is not accepted.
    """

    def __init__(self, folder: Path, keys: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        keys.mkdir(parents=True, exist_ok=True)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._keys = keys
        self.key_file = self._client_key("client")
        self.stranger = self._client_key("stranger")
        self.known_hosts = keys / "known_hosts"
        self._loop = asyncio.new_event_loop()
        self._acceptor: asyncssh.SSHAcceptor | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.known_hosts.write_bytes(f"[127.0.0.1]:{self.port} ".encode() + self._host_key.export_public_key("openssh"))
        return self

    def __exit__(self, *_: object) -> None:
        async def close() -> None:
            assert self._acceptor is not None
            self._acceptor.close()
            await self._acceptor.wait_closed()
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def port(self) -> int:
        assert self._acceptor is not None
        return int(self._acceptor.get_port())

    def url(self, name: str) -> str:
        """The URL of a repository, by its folder's name."""
        return f"ssh://git@127.0.0.1:{self.port}/{name}"

    def _client_key(self, name: str) -> Path:
        key = asyncssh.generate_private_key("ssh-ed25519")
        file = self._keys / name
        file.touch(mode=0o600)
        file.write_bytes(key.export_private_key("openssh"))
        file.with_suffix(".pub").write_bytes(key.export_public_key("openssh"))
        return file

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host_key],
            authorized_client_keys=str(self.key_file.with_suffix(".pub")),
            process_factory=self._serve,
            encoding=None,
        )

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.commands.append(command)
        program, path = shlex.split(command)
        if program != "git-upload-pack":
            process.stderr.write(b"only git-upload-pack\n")
            process.exit(1)
            return
        repository = self.folder / path.lstrip("/")
        variables = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        version = process.env.get("GIT_PROTOCOL")
        git = await asyncio.create_subprocess_exec(
            "git",
            "upload-pack",
            str(repository),
            env=variables | ({"GIT_PROTOCOL": str(version)} if version else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert git.stdin is not None
        assert git.stdout is not None
        incoming = asyncio.create_task(_pump(process.stdin, git.stdin))
        await _pump(git.stdout, process.stdout)
        incoming.cancel()
        process.exit(await git.wait())


async def _pump(source: Any, sink: Any) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that accepts connections and never responds. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        accepted: list[socket.socket] = []
        stopped = threading.Event()

        def accept() -> None:
            while not stopped.is_set():
                try:
                    accepted.append(listening.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            thread.join()
            for connection in accepted:
                connection.close()


def git_processes(marker: str) -> list[str]:
    """The command lines of running processes whose command line or environment has a given text."""
    commands = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and int(process.name) != os.getpid() and marker.encode() in line + environment:
            commands.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return commands
