/** Loaded with `import()`, and named here, because a bundler that splits finds no names in a CommonJS package. */
export { GoogleAuth, PassThroughClient } from "google-auth-library";
