"""Builds the HTTP port of one replica from the parts that `gateway.replica.build` builds."""

import socket
from collections.abc import Callable
from typing import Any

from gateway.access.browser import browser_policy
from gateway.access.browser_middleware import BrowserMiddleware
from gateway.access.middleware import AccessMiddleware
from gateway.api.app import create_app
from gateway.api.operators.router import operate_router
from gateway.api.operators.webhook import Webhook
from gateway.api.plain_requests import PlainRequests
from gateway.api.rewards import rewards_router
from gateway.companion.scrape import scrape
from gateway.http.endpoint import InferenceEndpoint
from gateway.http.limits import http_limits
from gateway.replica.build import Control, Execution, Inference, Shared


def build_endpoint(
    shared: Shared, execution: Execution, inference: Inference, control: Control, publish: Callable[[], None]
) -> InferenceEndpoint:
    """Build the HTTP endpoint: predictions, and behind them the application for everything else.

    `publish` is called before a scrape, so that it shows what was counted up to now.
    """
    settings, guard = shared.settings, shared.guard

    def metrics() -> bytes:
        publish()
        return scrape(settings)

    operate = operate_router(
        store=shared.store,
        catalogue=execution.catalogue,
        changes=control.changes,
        desired=control.desired,
        view=control.view,
        webhook=Webhook(settings.registry_webhook_secret, settings.hurry_file),
        trials=execution.trials,
    )
    app: Any = create_app(inference.metadata, operate, rewards_router(shared.rewards.send), metrics)
    if guard is not None:
        app = AccessMiddleware(app, guard)
    policy = browser_policy(settings, socket.gethostname())
    app = BrowserMiddleware(PlainRequests(app), policy)
    return InferenceEndpoint(
        inference.service,
        app,
        shared.turn,
        policy,
        max_body_bytes=settings.max_body_bytes,
        limits=http_limits(settings),
        budget=shared.budget,
        offload=shared.offload,
        invocations_route=settings.invocations_route,
        payloads=inference.payloads,
    )
