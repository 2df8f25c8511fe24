//! Datasets of the content of files: lines, records of fixed length, TFRecords, CSV.

use super::shapes::scalars;
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    CSV_DATASET: OpDef::new("CSVDataset", "filenames: string, compression_type: string, buffer_size: int64, header: bool, field_delim: string, use_quote_delim: bool, na_value: string, select_cols: int64, record_defaults: output_types -> handle: variant")
        .attrs("output_types: list({float, double, int32, int64, string}) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1111110>).not_differentiable();
    CSV_DATASET_V2: OpDef::new("CSVDatasetV2", "filenames: string, compression_type: string, buffer_size: int64, header: bool, field_delim: string, use_quote_delim: bool, na_value: string, select_cols: int64, record_defaults: output_types, exclude_cols: int64 -> handle: variant")
        .attrs("output_types: list({float, double, int32, int64, string}) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1111110>).not_differentiable();
    EXPERIMENTAL_CSV_DATASET: OpDef::new("ExperimentalCSVDataset", "filenames: string, compression_type: string, buffer_size: int64, header: bool, field_delim: string, use_quote_delim: bool, na_value: string, select_cols: int64, record_defaults: output_types -> handle: variant")
        .attrs("output_types: list({float, double, int32, int64, string}) >= 1, output_shapes: list(shape) >= 1")
        .stateful().shape(scalars::<0b1111110>).not_differentiable();
    EXPERIMENTAL_MATCHING_FILES_DATASET: OpDef::new("ExperimentalMatchingFilesDataset", "patterns: string -> handle: variant")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    FIXED_LENGTH_RECORD_DATASET: OpDef::new("FixedLengthRecordDataset", "filenames: string, header_bytes: int64, record_bytes: int64, footer_bytes: int64, buffer_size: int64 -> handle: variant")
        .attrs("metadata: string = \"\"")
        .stateful().shape(scalars::<0b11110>).not_differentiable();
    FIXED_LENGTH_RECORD_DATASET_V2: OpDef::new("FixedLengthRecordDatasetV2", "filenames: string, header_bytes: int64, record_bytes: int64, footer_bytes: int64, buffer_size: int64, compression_type: string -> handle: variant")
        .attrs("metadata: string = \"\"")
        .stateful().shape(scalars::<0b111110>).not_differentiable();
    MATCHING_FILES_DATASET: OpDef::new("MatchingFilesDataset", "patterns: string -> handle: variant")
        .stateful().shape(scalars::<0b0>).not_differentiable();
    TF_RECORD_DATASET: OpDef::new("TFRecordDataset", "filenames: string, compression_type: string, buffer_size: int64 -> handle: variant")
        .attrs("metadata: string = \"\"")
        .stateful().shape(scalars::<0b110>).not_differentiable();
    TF_RECORD_DATASET_V2: OpDef::new("TFRecordDatasetV2", "filenames: string, compression_type: string, buffer_size: int64, byte_offsets: int64 -> handle: variant")
        .attrs("metadata: string = \"\"")
        .stateful().shape(scalars::<0b110>).not_differentiable();
    TEXT_LINE_DATASET: OpDef::new("TextLineDataset", "filenames: string, compression_type: string, buffer_size: int64 -> handle: variant")
        .attrs("metadata: string = \"\"")
        .stateful().shape(scalars::<0b110>).not_differentiable();
}
