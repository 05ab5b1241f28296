"""When a day of the log is complete: what each machine has shipped, and what is lost.

Rules:

1. Each machine says in a watermark up to which time everything that it logged is in the log (`watermark`).
2. A day is closed once every machine has said so of it, and some time has passed (`standing`). A machine that has said
   nothing for a day is given up: the day is closed without it, and says how many such machines there are.
3. Who closes a day counts its rows and those that are lost (`loss`), writes both to the table `closed`, and last the
   marker for which jobs wait (`close`).
4. A file that is stored for a day after it was closed leaves a note (`late`). The day is open again until it is closed
   anew, with these rows.

A sequence number of a writer is used once, also for a record that had to be dropped. So a number that is nowhere in the
log is a loss.
"""
