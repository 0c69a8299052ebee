/**
 * What every warehouse must do, whichever engine is behind it. An adapter calls `warehouseConformance` from its own test.
 * Where an engine cannot do as BigQuery does, its adapter declares the test's name with a reason; that test then counts
 * as skipped and says why. A declaration that names no test fails.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { appendScenarios } from "./warehouse/appends.ts";
import { changeScenarios } from "./warehouse/changes.ts";
import { jobScenarios } from "./warehouse/jobs.ts";
import { limitScenarios } from "./warehouse/limits.ts";
import { loadScenarios } from "./warehouse/loads.ts";
import { partitionScenarios } from "./warehouse/partitions.ts";
import { queryScenarios } from "./warehouse/queries.ts";
import { scriptScenarios } from "./warehouse/scripts.ts";
import { statementScenarios } from "./warehouse/statements.ts";
import { tableScenarios } from "./warehouse/tables.ts";
import { viewScenarios } from "./warehouse/views.ts";
import { worldOf, type WarehouseUnderTest } from "./warehouse/world.ts";

export type { WarehouseUnderTest } from "./warehouse/world.ts";

export function warehouseConformance(
  name: string,
  setup: () => Promise<WarehouseUnderTest>,
  options: { readonly deviations?: Readonly<Record<string, string>> } = {},
): void {
  const scenarios = {
    ...jobScenarios,
    ...tableScenarios,
    ...partitionScenarios,
    ...loadScenarios,
    ...queryScenarios,
    ...statementScenarios,
    ...appendScenarios,
    ...changeScenarios,
    ...viewScenarios,
    ...limitScenarios,
    ...scriptScenarios,
  };
  const deviations = new Map(Object.entries(options.deviations ?? {}));
  describe(`${name}: warehouse`, () => {
    for (const [title, scenario] of Object.entries(scenarios)) {
      const reason = deviations.get(title);
      test(title, reason === undefined ? {} : { skip: `declared deviation: ${reason}` }, async () => {
        const subject = await setup();
        try {
          await scenario(worldOf(subject));
        } finally {
          await subject.close();
        }
      });
    }
    test("every declared deviation names a test", () => {
      assert.deepEqual(
        [...deviations.keys()].filter((title) => !(title in scenarios)),
        [],
      );
    });
  });
}
