"""The main module of a companion that has a minute for what is left at its end, as a slow machine needs."""

from gateway.companion import main
from tests.support.polling import PATIENCE_S

if __name__ == "__main__":
    main._LAST_WORK_S = PATIENCE_S
    main.main()
