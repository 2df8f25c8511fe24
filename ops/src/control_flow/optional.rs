//! Values that may be missing, which functional conditionals hand to their gradients.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use crate::data::shapes::{components, scalars};
use crate::library::op_defs;
use session_core::OpDef;

op_defs! {
    OPTIONAL_FROM_VALUE: OpDef::new("OptionalFromValue", "components: Toutput_types -> optional: variant")
        .attrs("Toutput_types: list(type) >= 1")
        .shape(scalars::<0>);
    OPTIONAL_NONE: OpDef::new("OptionalNone", "-> optional: variant").shape(scalars::<0>);
    OPTIONAL_HAS_VALUE: OpDef::new("OptionalHasValue", "optional: variant -> has_value: bool").shape(scalars::<0b1>);
    OPTIONAL_GET_VALUE: OpDef::new("OptionalGetValue", "optional: variant -> components: output_types")
        .attrs("output_types: list(type) >= 1, output_shapes: list(shape) >= 1")
        .shape(components);
}
