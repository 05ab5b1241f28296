"""A home with a store, a registry and segments, as the replicas of a machine would have it."""

from pathlib import Path

from gateway.settings import Settings
from inference_log.record import Audit
from inference_log.spool import segments
from inference_log.writer import LogWriter
from tests.support.polling import PATIENCE_S


def home(folder: Path) -> Settings:
    """Return the settings of a gateway whose companion looks often.

    The process of the tests takes the seats of replicas and gives no heartbeat: the companion must not end it for that.
    """
    (folder / "models").mkdir()
    return Settings(
        home=folder, advance_every_ms=50, segment_max_age_s=3600, wedged_after_s=PATIENCE_S, ship_at_end_s=PATIENCE_S
    ).resolved()


def write(settings: Settings, seat: int, *numbers: int) -> Path:
    """Write a closed segment with changes of documents into the folder of a seat."""
    folder = settings.spool / str(seat)
    folder.mkdir(parents=True, exist_ok=True)
    writer = LogWriter(folder, f"w{'-'.join(map(str, numbers))}")
    for number in numbers:
        writer.note(Audit(number, "r", 1, 0, "ann", "shift", "", "", "", {}, "{}"))
    writer.close()
    return segments(folder)[-1]
