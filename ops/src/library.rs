//! The set of all op definitions of this crate.
//!
//! Each file that defines ops has one [`op_defs!`] block, which declares a static for each definition and a list `DEFS`. The lists are
//! collected here by family. A definition states everything that TensorFlow's registry knows about an op type (inputs, outputs, attributes,
//! state) together with two functions: the shape function, which runs when an operation is built, and the gradient function, which builds
//! the operations of the backward pass.

use session_core::{OpDef, OpLibrary};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The set of op definitions of this crate, through which importers and engines find a definition by its op type.
///
/// ```
/// use ops::library;
/// let families: Vec<&str> = library().families().map(|(family, _)| family).collect();
/// assert!(families.contains(&"array") && families.contains(&"nn"), "{families:?}");
/// assert!(library().iter().any(|definition| definition.name() == "MatMul"));
/// ```
#[derive(Debug)]
pub struct Library;

/// The one library; definitions refer to it so that operators find their siblings.
pub static LIBRARY: Library = Library;

/// Op types that TensorFlow 2 does not have: `IndexBatch` is this library's own, `GatherTree` was in the `contrib` of TensorFlow 1.
pub const EXTENSIONS: &[&str] = &["GatherTree", "IndexBatch"];

/// Returns the library of all op definitions, which importers and engines take.
#[must_use]
pub fn library() -> &'static Library {
    &LIBRARY
}

/// Defines op types in TensorFlow's notation: a static for each, which belongs to the library, and `DEFS`, the list of all.
///
/// - `"x: T, y: T -> z: T"` lists the inputs and outputs. `N * T` is a list of `N` tensors, `Ref(T)` a reference to a variable, and a name
///   of an attribute of type `list(type)` stands for a list of tensors of these dtypes.
/// - `.attrs("T: numbertype, axis: int = 0")` lists the attributes, with their constraints and defaults. A definition without a default for
///   an attribute requires it.
/// - `.stateful()` keeps an engine from merging, folding, or skipping operations.
/// - `.shape(f)` infers the shapes of the outputs; `.gradient(f)` builds the gradients of the inputs; `.not_differentiable()` states that
///   there are none, which stops a gradient without an error.
///
/// Attribute order, names, and defaults are TensorFlow's: files contain them, and the tests compare each definition with TensorFlow.
macro_rules! op_defs {
    ($($name:ident: $def:expr;)*) => {
        $(pub(crate) static $name: session_core::OpDef = $def.library(&crate::library::LIBRARY);)*
        pub(crate) static DEFS: &[&session_core::OpDef] = &[$(&$name),*];
    };
}
pub(crate) use op_defs;

/// The definitions of one file.
type File = &'static [&'static OpDef];

/// Returns the files of each family. A function, because constants may not refer to definitions, which are parsed at first
/// use.
fn families() -> Vec<(&'static str, Vec<File>)> {
    vec![
        (
            "array",
            vec![
                crate::array::blocks::DEFS,
                crate::array::constants::DEFS,
                crate::array::diagonal::DEFS,
                crate::array::gathering::DEFS,
                crate::array::identity::DEFS,
                crate::array::inplace::DEFS,
                crate::array::joining::DEFS,
                crate::array::padding::DEFS,
                crate::array::partition::DEFS,
                crate::array::repeating::DEFS,
                crate::array::searching::DEFS,
                crate::array::shaping::DEFS,
                crate::array::slicing::DEFS,
            ],
        ),
        (
            "math",
            vec![
                crate::math::banded::DEFS,
                crate::math::bessel::DEFS,
                crate::math::binary::DEFS,
                crate::math::bits::DEFS,
                crate::math::cast::DEFS,
                crate::math::compare::DEFS,
                crate::math::counting::DEFS,
                crate::math::eigen::DEFS,
                crate::math::einsum::DEFS,
                crate::math::first_releases::DEFS,
                crate::math::integrals::DEFS,
                crate::math::least_squares::DEFS,
                crate::math::linear::DEFS,
                crate::math::matrix_functions::DEFS,
                crate::math::product::DEFS,
                crate::math::qr::DEFS,
                crate::math::reduce::DEFS,
                crate::math::scan::DEFS,
                crate::math::segment::DEFS,
                crate::math::select::DEFS,
                crate::math::sparse_counting::DEFS,
                crate::math::special::DEFS,
                crate::math::spectral::DEFS,
                crate::math::sum::DEFS,
                crate::math::tridiagonal::DEFS,
                crate::math::unary::DEFS,
            ],
        ),
        (
            "nn",
            vec![
                crate::nn::activation::DEFS,
                crate::nn::batch_norm::DEFS,
                crate::nn::bias::DEFS,
                crate::nn::candidate::DEFS,
                crate::nn::colors::DEFS,
                crate::nn::beams::DEFS,
                crate::nn::conv::DEFS,
                crate::nn::cross_entropy::DEFS,
                crate::nn::ctc::DEFS,
                crate::nn::data_format::DEFS,
                crate::nn::first_releases::DEFS,
                crate::nn::fractional_pool::DEFS,
                crate::nn::images::DEFS,
                crate::nn::isotonic::DEFS,
                crate::nn::morphology::DEFS,
                crate::nn::normalization::DEFS,
                crate::nn::padded_convolution::DEFS,
                crate::nn::pool::DEFS,
                crate::nn::ranking::DEFS,
            ],
        ),
        (
            "image",
            vec![
                crate::image::codecs::DEFS,
                crate::image::cropping::DEFS,
                crate::image::drawing::DEFS,
                crate::image::glimpse::DEFS,
                crate::image::resizing::DEFS,
                crate::image::suppression::DEFS,
            ],
        ),
        (
            "control_flow",
            vec![
                crate::control_flow::assertion::DEFS,
                crate::control_flow::frames::DEFS,
                crate::control_flow::functional::DEFS,
                crate::control_flow::grouping::DEFS,
                crate::control_flow::optional::DEFS,
                crate::control_flow::older_arrays::DEFS,
                crate::control_flow::tensor_array::DEFS,
                crate::control_flow::tensor_list::DEFS,
            ],
        ),
        (
            "io",
            vec![
                crate::io::files::DEFS,
                crate::io::indices::DEFS,
                crate::io::readers::DEFS,
                crate::io::saving::DEFS,
            ],
        ),
        (
            "data_flow",
            vec![
                crate::data_flow::accumulators::DEFS,
                crate::data_flow::barriers::DEFS,
                crate::data_flow::queue_ops::DEFS,
                crate::data_flow::sparse_map::DEFS,
                crate::data_flow::staging::DEFS,
            ],
        ),
        (
            "data",
            vec![
                crate::data::batches::DEFS,
                crate::data::functions::DEFS,
                crate::data::iterators::DEFS,
                crate::data::order::DEFS,
                crate::data::readers::DEFS,
                crate::data::sources::DEFS,
                crate::data::sparse::DEFS,
                crate::data::values::DEFS,
                crate::data::wrappers::DEFS,
            ],
        ),
        (
            "parsing",
            vec![
                crate::parsing::base64::DEFS,
                crate::parsing::example::DEFS,
                crate::parsing::raw::DEFS,
                crate::parsing::sequence_example::DEFS,
                crate::parsing::serialized::DEFS,
            ],
        ),
        (
            "quantization",
            vec![
                crate::quantization::arithmetic::DEFS,
                crate::quantization::fake::DEFS,
                crate::quantization::layers::DEFS,
                crate::quantization::ranges::DEFS,
            ],
        ),
        ("script", vec![crate::script::DEFS]),
        ("strings", vec![crate::strings::DEFS, crate::strings::unicode::DEFS]),
        ("tables", vec![crate::tables::DEFS]),
        ("random", vec![crate::random::DEFS, crate::random::generator::DEFS, crate::random::keyed::DEFS]),
        ("rnn", vec![crate::rnn::block_ops::DEFS]),
        ("ragged", vec![crate::ragged::DEFS]),
        ("sparse", vec![crate::sparse::DEFS]),
        ("sets", vec![crate::sets::DEFS]),
        ("signal", vec![crate::signal::audio::DEFS, crate::signal::fourier::DEFS]),
        ("state", vec![crate::state::DEFS]),
        ("summary", vec![crate::summary::DEFS]),
        ("training", vec![crate::training::DEFS]),
    ]
}

impl Library {
    /// Returns all definitions, ordered by family.
    pub fn iter(&self) -> impl Iterator<Item = &'static OpDef> {
        self.families().flat_map(|(_, defs)| defs)
    }

    /// Returns the families, such as `array` or `nn`, each with its definitions.
    pub fn families(&self) -> impl Iterator<Item = (&'static str, Vec<&'static OpDef>)> {
        families().into_iter().map(|(name, files)| (name, files.concat()))
    }
}

impl OpLibrary for Library {
    fn find(&self, op_type: &str) -> Option<&'static OpDef> {
        static INDEX: OnceLock<HashMap<&'static str, &'static OpDef>> = OnceLock::new();
        INDEX.get_or_init(|| self.iter().map(|def| (def.name(), def)).collect()).get(op_type).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_parses_and_is_found_by_its_name() {
        let mut names = std::collections::HashSet::new();
        for def in LIBRARY.iter() {
            let _ = def.signature();
            assert!(names.insert(def.name()), "{} is defined twice", def.name());
            assert!(std::ptr::eq(LIBRARY.find(def.name()).unwrap(), def));
            assert!(def.op_library().is_some(), "{} does not name its library", def.name());
        }
    }
}
