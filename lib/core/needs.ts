/**
 * What a definition needs of the outside world, as data with a reason. IAM, the deployment's plan and the local sandbox are
 * derived from these and from nothing else.
 */
export type Need =
  | {
      readonly kind: "read-objects" | "delete-objects" | "write-objects";
      readonly bucket: string;
      readonly prefix: string;
      readonly reason: string;
    }
  /** Writing, reading and deleting below a prefix of the environment's own staging bucket. */
  | { readonly kind: "stage-objects"; readonly prefix: string; readonly reason: string }
  | {
      readonly kind: "write-dataset" | "read-dataset";
      readonly project?: string;
      readonly dataset: string;
      /** With `write-dataset`: whole tables or partitions are replaced, so that what protects their rows has to be seen. */
      readonly replaces?: true;
      readonly reason: string;
    }
  | { readonly kind: "run-jobs"; readonly project?: string; readonly reason: string }
  | { readonly kind: "publish"; readonly topic: string; readonly reason: string }
  | { readonly kind: "secret"; readonly name: string; readonly reason: string };

/** A `gs://bucket/prefix` text, taken apart. */
export interface ObjectLocation {
  readonly bucket: string;
  readonly prefix: string;
}
