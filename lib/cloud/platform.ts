/** The scripts beside this file, once for whoever imports it: the built entry, and the library as the authors' modules import it. */
import { scriptsIn } from "./scripts.ts";

export const platform = scriptsIn(`${import.meta.dirname}/platform`);
