/** Loaded with `import()`; see `auth.ts`. */
export { FieldPath, FieldValue, Firestore, Timestamp } from "@google-cloud/firestore";
