"""Reads the log with Spark and prints counts and sums as JSON. It runs in an environment of its own."""

import json
import sys

from pyspark.sql import SparkSession

log, queries = sys.argv[1], json.loads(sys.argv[2])
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # a short run
    .config("spark.sql.codegen.wholeStage", "false")
    .config("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # else `dt` becomes a date
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
for table in ("inferences", "rewards", "audit"):
    spark.read.option("mergeSchema", "true").parquet(f"{log}/{table}").createOrReplaceTempView(f"{table}_raw")
schema = {each.name: each.dataType.simpleString() for each in spark.table("inferences_raw").schema}
answers = {name: [list(row) for row in spark.sql(sql).collect()] for name, sql in queries.items()}
sys.stdout.write(json.dumps({"schema": schema, "answers": answers}, default=str) + "\n")
spark.stop()
