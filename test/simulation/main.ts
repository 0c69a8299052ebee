/** The simulator's command, with what makes it quick put in place before anything else is loaded. See command.ts for its options. */
import { hashQuickly } from "./quick-hash.ts";

hashQuickly();
await import("./command.ts");
