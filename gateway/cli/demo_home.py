"""Fills the home of the demo: it trains the models and declares the routes."""

from pathlib import Path

from gateway.cli import demo_models
from gateway.cli.output import Progress
from gateway.control.last_known import LastKnownFile
from gateway.settings import Settings
from store.open import open_store


def prepare_home(settings: Settings, progress: Progress) -> None:
    """Train the models that are missing, and declare the routes that the store lacks."""
    demo_models.train(Path(settings.registry), progress.step)
    progress.done()
    store = open_store(settings.store)
    if LastKnownFile(settings.last_known_file, settings.store).load().entries and not store.revision().identity:
        # Declaring would give the empty store an identity: the gateway would accept it and lose what it remembers.
        progress.step("the store has lost its routes: `pointsman restore` puts back what is remembered")
        progress.done()
    else:
        demo_models.declare(store)
    store.close()
