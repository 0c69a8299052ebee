/** Page headers and the footer, which hyparquet-writer puts into Thrift's compact protocol for us. */
import { ByteWriter } from "hyparquet-writer";
import { writePageHeader } from "hyparquet-writer/src/datapage.js";
import { writeMetadata } from "hyparquet-writer/src/metadata.js";

export type FileMetadata = Parameters<typeof writeMetadata>[1];
export type SchemaElement = FileMetadata["schema"][number];
export type RowGroup = FileMetadata["row_groups"][number];
export type ColumnChunk = RowGroup["columns"][number];
export type ColumnMetadata = NonNullable<ColumnChunk["meta_data"]>;
export type PageHeader = Parameters<typeof writePageHeader>[1];

export const MAGIC: readonly number[] = [0x50, 0x41, 0x52, 0x31];

export function pageHeader(header: PageHeader): Uint8Array {
  const writer = new ByteWriter(64);
  writePageHeader(writer, header);
  return writer.getBytes();
}

/** All that follows the last row group: the metadata, their length, and the magic word. */
export function footer(schema: readonly SchemaElement[], groups: readonly RowGroup[], rows: number): Uint8Array {
  const writer = new ByteWriter();
  writeMetadata(writer, {
    version: 2,
    created_by: "sluice",
    schema: [...schema],
    num_rows: BigInt(rows),
    row_groups: [...groups],
    // Not stored: it is what a reader finds.
    metadata_length: 0,
  });
  writer.appendBytes(Uint8Array.from(MAGIC));
  return writer.getBytes();
}
