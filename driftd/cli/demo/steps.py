"""The steps of `driftd demo`."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from driftd.cli.demo.preview import slack_message
from driftd.cli.demo.world import APP, BAD_IMAGE, CHANNEL, GOOD_IMAGE, NAMESPACE, DemoWorld
from driftd.cli.output.lines import UNLIMITED, console_for
from driftd.model.errors import DriftdError
from driftd.sandbox.server import Sandbox
from driftd.sandbox.slack.workspace import SlackMessage, SlackSandbox
from driftd.store.store import Store

_STEP_TIMEOUT_SECONDS = 30.0
"""Seconds per step, after which the demo fails and prints the daemon's log."""

_DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web"
_HOTFIX_IMAGE = "registry.example.com/shop/web:1.4.1-hotfix"


async def run_demo(*, stay: bool) -> int:
    """Runs the demo; with `stay`, its cluster and daemon go on until Ctrl-C. Returns the exit code."""
    console = console_for(sys.stdout)
    with tempfile.TemporaryDirectory(prefix="driftd-demo-") as folder:
        world = DemoWorld(Path(folder))
        async with Sandbox().serve() as sandbox, SlackSandbox().serve() as slack:
            sandbox.write_kubeconfig(world.kubeconfig)
            demo = Demo(console, world, sandbox, slack)
            await demo.run(stay=stay)
    return 0


class Demo:
    """Runs the steps of the demo on a terminal."""

    def __init__(self, console: Console, world: DemoWorld, sandbox: Sandbox, slack: SlackSandbox) -> None:
        self._console = console
        self._world = world
        self._sandbox = sandbox
        self._slack = slack
        self._step = 0

    async def run(self, *, stay: bool) -> None:
        """Runs all steps; with `stay`, the cluster and the daemon go on until Ctrl-C.

        Raises: DriftdError: a step did not end in time.
        """
        world, slack = self._world, self._slack
        world.make_repository()
        world.write_token(slack.token)
        world.write_config(mode="observe", slack=slack.api_url)
        self._title("A cluster that is as Git says it is")
        await self._deploy()
        async with self._daemon() as daemon:
            await self._until("the first report", self._in_sync)
            await self._check()
            await self._drift(daemon)
            await self._bad_commit()
            await self._history()
            self._print("That was the real daemon, over real HTTP: a Deployment in your cluster does the same.")
            if stay:
                await self._keep_running()

    async def _keep_running(self) -> None:
        world = self._world
        self._title("Your turn: it is all still running. Ctrl-C ends it.")
        self._to_copy(
            f"export KUBECONFIG={world.kubeconfig}     # the embedded cluster: try kubectl edit, scale, delete"
        )
        self._to_copy(f"cd {world.repository}     # the repository: commit to it")
        self._to_copy(f"{program()} status --config {world.config}")
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        printed = self._slack.messages()
        while not stopped.is_set():
            messages = self._slack.messages()
            for message in messages:
                if message not in printed:
                    self._print_message(message)
            printed = messages
            try:
                await asyncio.wait_for(stopped.wait(), 0.3)
            except TimeoutError:
                continue

    # -- the steps -------------------------------------------------------------------------------------------------

    async def _deploy(self) -> None:
        self._print("Ada commits the shop's manifests, and deploys them with `kubectl apply --server-side`:")
        from driftd.model.app import RenderOptions  # noqa: PLC0415  # for this step only
        from driftd.render.app import render  # noqa: PLC0415  # for this step only
        from driftd.render.file_tree import FolderTree  # noqa: PLC0415  # for this step only

        rendering = render(FolderTree(self._world.repository, "apps/web"), RenderOptions())
        paths = {
            "Namespace": f"/api/v1/namespaces/{NAMESPACE}",
            "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps/web",
            "Service": f"/api/v1/namespaces/{NAMESPACE}/services/web",
            "Deployment": _DEPLOYMENT,
        }
        for kind, path in paths.items():
            body = next(m.body for m in rendering.manifests if m.ref.kind == kind)
            await self._request(
                "PATCH", f"{path}?fieldManager=kubectl&force=true", body, "application/apply-patch+yaml"
            )
        await self._until("the rollout", self._healthy)

    async def _drift(self, daemon: asyncio.subprocess.Process) -> None:
        self._title("Somebody edits the live Deployment by hand")
        self._command("kubectl -n shop edit deployment web     # the image, LOG_LEVEL, and one more variable")
        earlier = len(self._messages())
        container = {
            "name": "web",
            "image": _HOTFIX_IMAGE,
            "env": [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "FEATURE_X", "value": "on"}],
        }
        await self._request(
            "PATCH",
            f"{_DEPLOYMENT}?fieldManager=kubectl-edit",
            {"spec": {"template": {"spec": {"containers": [container]}}}},
            "application/strategic-merge-patch+json",
        )
        await self._until("the Slack message", lambda: self._posted_since(earlier))
        self._print("driftd says which field, who, when, and which line of Git it contradicts:")
        await self._check()
        self._print("and this is what the channel sees:")
        self._print_message(self._messages()[-1])

        self._title("The app may be healed: mode: heal")
        self._print("The configuration is changed from `mode: observe` to `mode: heal`, and taken up by SIGHUP.")
        self._world.write_config(mode="heal", slack=self._slack.api_url)
        daemon.send_signal(signal.SIGHUP)
        await self._until("the repair", self._resolved)
        self._print("driftd has put it back, and says so in the same message:")
        self._print_message(self._messages()[earlier])
        await self._check()
        await self._until("a good revision", lambda: self._recorded("good"))

    async def _bad_commit(self) -> None:
        self._title("A bad commit: its pods never become ready")
        sha = self._world.commit_image(BAD_IMAGE, "Update the shop to 1.5.0", "Grace Hopper")
        self._command(f"git commit -m 'Update the shop to 1.5.0'     # {sha[:8]}, by Grace Hopper")
        await self._until("the rollback", self._rolled_back)
        self._print("It was applied, was not healthy by its deadline (6 s here), and was rolled back by driftd itself:")
        self._print_message(self._messages_with("rolled back")[-1])
        await self._until("the old image", lambda: self._image_is(GOOD_IMAGE))
        await self._until("health", self._healthy)
        self._print(f"The Deployment runs {GOOD_IMAGE} again, and stays there until Git moves on.")

    async def _history(self) -> None:
        self._title("What driftd remembers of it")
        await self._run("history", APP, "--config", str(self._world.config), "--limit", "12")

    # -- conditions ------------------------------------------------------------------------------------------------

    async def _in_sync(self) -> bool:
        return await self._recorded("in sync")

    async def _healthy(self) -> bool:
        status = (await self._request("GET", _DEPLOYMENT)).get("status") or {}
        return status.get("availableReplicas") == 2 and status.get("updatedReplicas") == 2

    async def _posted_since(self, count: int) -> bool:
        return len(self._messages()) > count

    async def _resolved(self) -> bool:
        return bool(self._messages_with("healed by driftd"))

    async def _rolled_back(self) -> bool:
        return bool(self._messages_with("rolled back"))

    async def _image_is(self, image: str) -> bool:
        deployment = await self._request("GET", _DEPLOYMENT)
        return bool(deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image)

    async def _recorded(self, word: str) -> bool:
        if not self._world.database.exists():
            return False
        store = await Store.open(self._world.store_url)
        try:
            return any(word in entry.summary for entry in await store.history(APP))
        finally:
            await store.close()

    async def _until(self, subject: str, condition: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _STEP_TIMEOUT_SECONDS
        while not await condition():
            if loop.time() > end:
                log = self._world.log.read_text() if self._world.log.exists() else ""
                raise DriftdError(
                    f"the demo waited {_STEP_TIMEOUT_SECONDS:.0f} s for {subject} in vain; the daemon's log:\n{log}"
                )
            await asyncio.sleep(0.1)

    # -- processes, requests and output -----------------------------------------------------------------------------

    @asynccontextmanager
    async def _daemon(self) -> AsyncIterator[asyncio.subprocess.Process]:
        with self._world.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "driftd", "run", "--config", str(self._world.config),
                stdout=log, stderr=log, env=self._environment(),
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def _check(self) -> None:
        await self._run("check", "--config", str(self._world.config))

    async def _run(self, *arguments: str) -> None:
        self._command(f"{program()} {' '.join(arguments)}")
        output = await self._output(*arguments)
        for line in Text.from_ansi(output.rstrip()).split("\n"):
            self._console.print(Text.assemble("  ", line) if line else line, soft_wrap=True)
        self._console.print()

    async def _output(self, *arguments: str) -> str:
        environment = self._environment()
        if self._is_limited:
            environment["COLUMNS"] = str(max(40, self._console.width - 4))
        if self._console.is_terminal:
            environment["FORCE_COLOR"] = "1"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "driftd", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        output, errors = await process.communicate()
        if process.returncode not in (0, 1):
            raise DriftdError(f"driftd {' '.join(arguments)}: {errors.decode()}{output.decode()}")
        return output.decode()

    def _environment(self) -> dict[str, str]:
        folder = self._world.folder
        return {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "XDG_STATE_HOME": str(folder / "state")}

    async def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._sandbox.token}", "Content-Type": content_type}
        data = json.dumps(body) if body is not None else None
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self._sandbox.url + path, data=data, headers=headers) as response,
        ):
            answer: dict[str, Any] = await response.json()
            if response.status >= 300:
                raise DriftdError(f"the embedded cluster answered {method} {path} with {answer.get('message')}")
            return answer

    def _title(self, text: str) -> None:
        self._step += 1
        title = f"{self._step}. {text}"
        self._console.print()
        if self._is_limited:
            self._console.print(Rule(Text(title, style="bold"), align="left", style="bright_black"))
        else:
            self._print(title)

    @property
    def _is_limited(self) -> bool:
        """Whether somebody looks at columns: what fills a line would be endless elsewhere."""
        return self._console.width < UNLIMITED

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _to_copy(self, command: str) -> None:
        self._console.print(command, markup=False, soft_wrap=True)  # a line break would be copied, too

    def _command(self, text: str) -> None:
        self._console.print(f"[bright_black]$[/] [bold]{text}[/]", soft_wrap=True)

    def _messages(self) -> list[SlackMessage]:
        """The channel's messages, without the threads."""
        return [message for message in self._slack.messages() if message.thread_ts is None]

    def _messages_with(self, text: str) -> list[SlackMessage]:
        return [message for message in self._messages() if text in json.dumps(message.blocks)]

    def _print_message(self, message: SlackMessage) -> None:
        indent = 2 if message.thread_ts is None else 8
        shown = slack_message(message, CHANNEL, expand=self._is_limited)
        self._console.print(Padding(shown, (0, 0, 0, indent), expand=False))
        self._console.print()


def program() -> str:
    """This driftd as a shell finds it: by its name if that is on the PATH, else by its path or its module."""
    script = Path(sys.executable).with_name("driftd")
    found = shutil.which("driftd")
    if found is not None and Path(found).absolute() == script:
        return "driftd"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(sys.executable)} -m driftd"
