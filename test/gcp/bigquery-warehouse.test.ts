import { warehouseConformance } from "../ports/warehouse-conformance.ts";
import { bigqueryUnderTest } from "./bigquery-world.ts";

warehouseConformance("BigQuery", () => bigqueryUnderTest(), {
  deviations: {
    "labels are kept as they were":
      "BigQuery's labels are lower-case letters, digits, _ and -; others are refused before anything is sent",
    "schemas that do not fit are refused":
      "it copies from a table without partitions into one with a required column; BigQuery takes no query's rows for such a column, and its copy job wants a source of the same partitions (test/gcp/bigquery.test.ts has both)",
  },
});
