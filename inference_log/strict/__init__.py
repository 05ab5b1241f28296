"""The second place of rows whose route is strict: bytes of segments in S3, before the answer, until they are Parquet.

A segment's bytes are put as parts (`inference_log.file_names`), each once, and one after the other. Together they are
the beginning of the segment. Once the segment is stored as Parquet its parts are removed. Parts that stay are those of
a machine that was lost: `pointsman log recover` makes a segment of them again, under its name, and stores that.
"""
