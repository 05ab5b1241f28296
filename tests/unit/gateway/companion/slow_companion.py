"""A companion whose imports take long, as on a busy machine."""

import sys
import time
from types import ModuleType

from gateway.companion.main import main


class Slow(ModuleType):
    """A module that takes ten seconds to give what is imported from it."""

    def __getattr__(self, name: str) -> object:
        time.sleep(10)
        del sys.modules["gateway.companion.companion"]
        from gateway.companion import companion

        return getattr(companion, name)


sys.modules["gateway.companion.companion"] = Slow("gateway.companion.companion")
main()
