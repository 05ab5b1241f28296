"""One replica: assembled, started, watched, ended; and the engines that run it."""
