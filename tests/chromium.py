"""A headless Chromium, driven over its DevTools protocol: what a page says, how it looks, what it complains of."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.eventually import DEADLINE
from tests.tools import tool

FLAGS = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
MAX_MESSAGE = 64 << 20
"""Bytes; a screenshot is one message."""
T = TypeVar("T")


@dataclass
class Tab:
    """One tab. `complaints` are what its console, its log and its security policy said; `requested` the URLs that it asked for."""

    connection: WebSocketClientConnection
    session: str = ""
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _sent: int = 0
    _loaded: int = 0
    _document: str = ""

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask for something; AssertionError if it is refused, or not answered in time."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        await self.connection.write_message(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            told = await self._next()
            if told.get("id") == self._sent:
                assert "error" not in told, f"{method}: {told}"
                result: dict[str, Any] = told["result"]
                return result

    async def open(self, url: str) -> None:
        """Go there, and wait until all is loaded."""
        loaded = self._loaded
        result = await self.call("Page.navigate", url=url)
        assert not result.get("errorText"), result
        while self._loaded == loaded:
            await self._next()

    async def see(self, width: int, *, scheme: str = "light", scripts: bool = True, height: int = 900) -> None:
        """Be a screen of that size (pixels) on which people like light, or dark; with or without JavaScript in pages."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    async def source(self) -> str:
        """The HTML of the page as it was sent."""
        body = await self.call("Network.getResponseBody", requestId=self._document)
        text: str = body["body"]
        return text

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def picture(self, *, whole: bool = True) -> bytes:
        """The page as PNG; the `whole`, or what the screen shows."""
        return base64.b64decode((await self.call("Page.captureScreenshot", captureBeyondViewport=whole))["data"])

    async def _next(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.read_message(), DEADLINE)
        assert text is not None, "Chromium hung up"
        told: dict[str, Any] = json.loads(text)
        match told.get("method"):
            case "Page.loadEventFired":
                self._loaded += 1
            case "Network.requestWillBeSent":
                self.requested.append(told["params"]["request"]["url"])
                if told["params"].get("type") == "Document":
                    self._document = told["params"]["requestId"]
            case "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Audits.issueAdded":
                self.complaints.append(json.dumps(told["params"]))
        return told


def browse(folder: Path, visit: Callable[[Tab], Coroutine[Any, Any, T]]) -> T:
    """Start Chromium, with its profile in that folder, and let `visit` drive a tab of it; gives what that returns."""

    async def go() -> T:
        async with _tab(folder) as tab:
            return await visit(tab)

    return asyncio.run(go())


@asynccontextmanager
async def _tab(folder: Path) -> AsyncIterator[Tab]:
    profile = folder / "chromium"
    profile.mkdir(parents=True, exist_ok=True)
    listens = profile / "DevToolsActivePort"
    listens.unlink(missing_ok=True)  # of a browser before
    # As root it cannot have its sandbox; what it opens here is ours.
    flags = [*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.getuid() == 0 else [])]
    with (folder / "chromium.log").open("wb") as log:
        browser = subprocess.Popen(
            [tool("chromium"), *flags], stdout=log, stderr=log, env=os.environ | {"HOME": str(folder)}
        )
    try:
        port, path = (await _until(lambda: _written(listens))).splitlines()
        connection = await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=MAX_MESSAGE)
        try:
            tab = Tab(connection)
            target = await tab.call("Target.createTarget", url="about:blank")
            attached = await tab.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            tab.session = attached["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
                await tab.call(f"{domain}.enable")
            yield tab
        finally:
            connection.close()
            while await connection.read_message() is not None:  # until it has hung up, too
                pass
    finally:
        browser.terminate()
        try:
            browser.wait(DEADLINE)
        finally:
            browser.kill()


def _written(file: Path) -> str | None:
    """Both lines of it, once they are there."""
    text = file.read_text() if file.exists() else ""
    return text if text.count("\n") >= 1 else None


async def _until(found: Callable[[], str | None]) -> str:
    for _ in range(int(DEADLINE * 10)):
        if (text := found()) is not None:
            return text
        await asyncio.sleep(0.1)
    raise AssertionError("Chromium did not start")
