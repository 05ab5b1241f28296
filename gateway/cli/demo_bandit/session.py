"""Sends a crowd to a bandit: decisions by V2 REST at a steady rate, and what follows from them to `/v2/rewards`."""

import asyncio
import heapq
import itertools
import math
import os
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import orjson

from gateway.cli.api_error import ApiError
from gateway.cli.client import ApiClient
from gateway.cli.credentials import credential
from gateway.cli.demo_bandit.connections import BROKEN, Answer, Connections
from gateway.cli.demo_bandit.crowd import Crowd
from gateway.cli.demo_bandit.tally import Figures, Tally

_AT_ONCE = 16
_DONE = (200, 202)
_REPORT_EVERY_S = 0.25
_MOST_IN_BATCH = 1000
_TIMEOUT_S = 5.0
_RETRY_S = 0.5
"""While the gateway is away, people come as seldom."""
_MOST_BEHIND_S = 1.0
"""If the gateway is slower than the rate, people come as fast as it answers, and no more make up for it later."""
_SILENT_S = 15.0
"""After so long without an answer the session ends."""


class Bandit(NamedTuple):
    """The route to which a crowd goes. `request` is what each person sends. `metric` is the click."""

    route: str
    arms: tuple[str, ...]
    metric: str
    window_s: float
    request: bytes


class _Click(NamedTuple):
    due_s: float
    number: int
    token: str


class Session:
    """Sends people of a crowd, `rate` of them a second, to the gateway of a client."""

    def __init__(self, client: ApiClient, bandit: Bandit, crowd: Crowd, rate: float) -> None:
        self._api = client
        self._bandit = bandit
        self._crowd = crowd
        self._rate = rate
        headers = {"content-type": "application/json", **credential(os.environ)}
        self._connections = Connections(client.url, headers, _TIMEOUT_S)
        self._threads = ThreadPoolExecutor(_AT_ONCE)
        self._tally = Tally(bandit.arms, bandit.window_s)
        self._clicks: list[_Click] = []
        self._is_away = False
        self._heard_s = 0.0

    async def run(self, stop: asyncio.Event, on_second: Callable[[Figures], None]) -> None:
        """Send people until `stop` is set. Once a second `on_second` gets the figures.

        Clicks that are not reported by then are lost, as if people had closed the page.

        Raises:
            ApiError: the gateway has not answered for a while.
        """
        self._heard_s = _now_s()
        try:
            await _together(self._arrive(stop), self._report(stop), self._watch(stop, on_second))
        finally:
            self._threads.shutdown()
            self._connections.close()

    async def _arrive(self, stop: asyncio.Event) -> None:
        """Send people at the rate, or as fast as the gateway answers. `_AT_ONCE` at most wait for an answer."""
        visits: set[asyncio.Task[None]] = set()
        due_s = _now_s()
        for number in itertools.count():
            if len(visits) >= _AT_ONCE:
                await asyncio.wait(visits, return_when=asyncio.FIRST_COMPLETED)
            due_s = max(due_s + 1 / self._rate, _now_s() - _MOST_BEHIND_S)
            if self._is_away:
                due_s = _now_s() + _RETRY_S
            if await _is_set_within(stop, due_s - _now_s()):
                break
            visit = asyncio.create_task(self._visit(number))
            visits.add(visit)
            visit.add_done_callback(visits.discard)
        if visits:
            await asyncio.wait(visits)

    async def _visit(self, number: int) -> None:
        """Ask for one decision, and note whether and when the person clicks."""
        path = f"/v2/models/{self._bandit.route}/infer"
        answer = await self._post(path, self._bandit.request)
        if isinstance(answer, str):
            self._tally.failed += 1
            self._tally.trouble = answer
            return
        arm, now_s = answer.headers["x-arm"], _now_s()
        self._tally.decided(number, arm, self._crowd.rates, now_s)
        after_s = self._crowd.click_after_s(number, arm)
        if after_s is not None:
            heapq.heappush(self._clicks, _Click(now_s + after_s, number, answer.headers["x-decision-token"]))

    async def _report(self, stop: asyncio.Event) -> None:
        """Report the clicks that have happened, several times a second."""
        while not await _is_set_within(stop, _REPORT_EVERY_S):
            batch: list[_Click] = []
            while self._clicks and self._clicks[0].due_s <= _now_s() and len(batch) < _MOST_IN_BATCH:
                batch.append(heapq.heappop(self._clicks))
            if batch:
                await self._send(batch)

    async def _send(self, batch: list[_Click]) -> None:
        """Report clicks. Those that get no answer are reported again, which is safe: a click counts once."""
        rewards = [{"decision": each.token, "metric": self._bandit.metric, "value": 1} for each in batch]
        answer = await self._post("/v2/rewards", orjson.dumps({"rewards": rewards}))
        if isinstance(answer, str):
            for click in batch:
                heapq.heappush(self._clicks, click)
            return
        for click, result in zip(batch, orjson.loads(answer.content)["results"], strict=True):
            self._tally.rewarded(click.number, result["result"])

    async def _post(self, path: str, content: bytes) -> Answer | str:
        """Return the response to a request, or what is wrong if there is none or it is an error."""
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, self._connections.post, path, content)
        except BROKEN as error:
            self._is_away = True
            return f"{type(error).__name__}: {error}"
        self._is_away = False
        if answer.status not in _DONE:
            return f"it answers {answer.status} {answer.content[:200].decode(errors='replace')}"
        self._heard_s = _now_s()
        return answer

    async def _watch(self, stop: asyncio.Event, on_second: Callable[[Figures], None]) -> None:
        """Read the weights once a second, and hand on the figures."""
        began_s, second = _now_s(), 0
        while True:
            second = max(second, math.floor(_now_s() - began_s)) + 1  # a second that was missed is left out
            is_over = await _is_set_within(stop, began_s + second - _now_s())
            policy, weights = await asyncio.to_thread(self._read_weights)
            now_s = _now_s()
            elapsed_s = round(now_s - began_s) if is_over else second
            on_second(
                self._tally.figures(elapsed_s, now_s, policy=policy, weights=weights, on_the_way=len(self._clicks))
            )
            if is_over:
                return
            if now_s - self._heard_s > _SILENT_S:
                raise ApiError(
                    f"The gateway at {self._api.url} has answered no request for {_SILENT_S:.0f} s: "
                    f"{self._tally.trouble}. See its log."
                )

    def _read_weights(self) -> tuple[int | None, Mapping[str, float] | None]:
        """Return the number of the policy and the weights; None for each if the gateway does not say them now."""
        try:
            document = self._api.route(self._bandit.route)
        except ApiError:
            return None, None
        weights = {arm: round(float(weight.rstrip("%")) / 100, 4) for arm, weight in document["weights"].items()}
        return document["bandit"]["number"], weights


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until all are done, or one fails; then the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _is_set_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most so long. Return True if it is."""
    if seconds <= 0 or stop.is_set():
        await asyncio.sleep(0)
        return stop.is_set()
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _now_s() -> float:
    return asyncio.get_running_loop().time()
