"""Compaction: the many small files of a route's day become few large ones, without duplicates, sorted by time.

Any number of runs may work on the same day, may be killed at any step, and may meet a shipper that adds a file. Rules:

1. A run lists the files of the day, and writes their rows into new files, whose names no other rows ever get (`names`).
2. It reads the new files back, and compares the number of rows and a checksum of each column with what it read
   (`checksums`).
3. Only then it writes a record, which names the new files and those that they replace (`records`). From now on readers
   that know records read the new files alone. All others see rows twice for a while, with equal identity.
4. The replaced files are removed after some time, for readers that have listed them, by the next run.

So a file is removed only if a file that was verified has its rows. New files of a run that died before its record are
files like others to the next run: it replaces them, too. A file that came after the listing is not in the record, so it
stays, and the next run merges it.
"""
