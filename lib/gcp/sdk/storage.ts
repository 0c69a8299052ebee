/** Loaded with `import()`; see `auth.ts`. */
export { CRC32C, Storage } from "@google-cloud/storage";
