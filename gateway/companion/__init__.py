"""The companion process: one for each machine, for the work behind the response. The replicas start and watch it.

`main` is its main module, `companion` what it consists of, `jobs` what it repeats. `keeper` runs in the replicas.
"""
