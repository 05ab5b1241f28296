"""One replica, which is built, started, watched and stopped here; and the two engines that run replicas.

`replica.py` is the place to begin: it builds everything, starts it and stops it in order. `build.py` builds each part,
`background.py` is what the threads do. `ray_engine.py` runs replicas on Ray Serve, `uvicorn_engine.py` runs one in this
process. `probe.py`, `watchdog.py` and `fence.py` find and end a replica that no longer serves.
"""
