//! Strings and the numbers of their characters.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::library::op_defs;
use crate::shapes::unchanged;
use session_core::OpDef;

op_defs! {
    UNICODE_DECODE: OpDef::new("UnicodeDecode", "input: string -> row_splits: Tsplits, char_values: int32")
        .attrs("input_encoding: string, errors: {\"strict\", \"replace\", \"ignore\"} = \"replace\", replacement_char: int32 = 65533, replace_control_characters: bool = false, Tsplits: indextype = int64")
        .not_differentiable();
    UNICODE_DECODE_WITH_OFFSETS: OpDef::new("UnicodeDecodeWithOffsets", "input: string -> row_splits: Tsplits, char_values: int32, char_to_byte_starts: int64")
        .attrs("input_encoding: string, errors: {\"strict\", \"replace\", \"ignore\"} = \"replace\", replacement_char: int32 = 65533, replace_control_characters: bool = false, Tsplits: indextype = int64")
        .not_differentiable();
    UNICODE_ENCODE: OpDef::new("UnicodeEncode", "input_values: int32, input_splits: Tsplits -> output: string")
        .attrs("errors: {\"ignore\", \"replace\", \"strict\"} = \"replace\", output_encoding: {\"UTF-8\", \"UTF-16-BE\", \"UTF-32-BE\"}, replacement_char: int32 = 65533, Tsplits: indextype = int64")
        .not_differentiable();
    UNICODE_TRANSCODE: OpDef::new("UnicodeTranscode", "input: string -> output: string")
        .attrs("input_encoding: string, output_encoding: {\"UTF-8\", \"UTF-16-BE\", \"UTF-32-BE\"}, errors: {\"strict\", \"replace\", \"ignore\"} = \"replace\", replacement_char: int32 = 65533, replace_control_characters: bool = false")
        .shape(unchanged)
        .not_differentiable();
}
