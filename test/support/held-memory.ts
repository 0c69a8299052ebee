import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Memory without garbage, of which every stream leaves much behind before it is collected, and the more the busier the machine is. */
export function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  // V8 defines `gc` as a function in every context that is made from now on.
  const gc = runInNewContext("gc") as () => void;
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
