"""What the companion needs for rewards, built from what it has."""

import threading

from gateway.companion.files import rewards_socket
from gateway.companion.node_view import NodeView
from gateway.companion.rewards.committer import RewardCommitter
from gateway.companion.rewards.documents import RewardDocuments
from gateway.companion.rewards.intake import Intake
from gateway.companion.rewards.judge import Judge
from gateway.companion.rewards.results import RewardResults
from gateway.companion.rewards.server import RewardServer
from gateway.control.log_counter import LogCounter
from gateway.inference.token_key_file import TokenKeyFile
from gateway.settings import Settings
from gateway.telemetry.metric_table import REWARDS
from gateway.telemetry.metrics import Metrics
from inference_log.writer import LogWriter
from store.interface import Store


class RewardService:
    """Takes rewards from the replicas of the machine. `results` is told what `counter` has counted."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        view: NodeView,
        keys: TokenKeyFile,
        writer: LogWriter,
        counter: LogCounter,
        results: RewardResults,
    ) -> None:
        judge = Judge(RewardDocuments(store, view), keys)
        self._intake = Intake(judge, RewardCommitter(writer, counter, results), lambda: _trouble(view, counter))
        self._server = RewardServer(rewards_socket(settings), self._intake.answer)

    def run(self, stop: threading.Event) -> None:
        """Take rewards until `stop` is set."""
        self._server.run(stop)

    def publish(self, metrics: Metrics) -> None:
        """Set the counters of rewards."""
        for labels, count in self._intake.counts.now().items():
            metrics.set_total(REWARDS, count, *labels)


def _trouble(view: NodeView, counter: LogCounter) -> str:
    """Return why no reward can be judged or counted now, or an empty text."""
    unread = "" if view.knows_documents else "The companion has not read the store yet."
    return view.trouble or unread or counter.trouble
