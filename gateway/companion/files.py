"""The files by which the replicas of a machine and their companion find each other."""

from pathlib import Path

from gateway.settings import Settings

PROCESS = "companion"
"""The name of the companion among the processes of its machine, beside the numbers of seats."""


def lock_file(settings: Settings) -> Path:
    """Return the lock that the companion holds."""
    return folder(settings) / "lock"


def scrape_socket(settings: Settings) -> Path:
    """Return the socket at which the companion answers scrapes."""
    return settings.home / "scrape.socket"


def rewards_socket(settings: Settings) -> Path:
    """Return the socket at which the companion takes rewards."""
    return settings.home / "rewards.socket"


def folder(settings: Settings) -> Path:
    """Return the folder of the companion's own segments, which lies beside those of the seats."""
    return settings.spool / PROCESS
