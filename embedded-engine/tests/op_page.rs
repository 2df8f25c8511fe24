//! The page of op types in the documentation of this crate states what the library and the kernels state.
#![allow(clippy::unwrap_used)] // a panic is the report

use session_core::{ArgDef, ArgType, AttrDef, Gradient, OpDef};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The variable that makes the test write the page instead of comparing it.
const WRITE: &str = "EMBEDDED_ENGINE_WRITE_OP_PAGE";

const HEAD: &str = "# Op types

The op types of TensorFlow that the engine runs, by the modules of the crate `ops`. `T` and other capital names are attributes: a
dtype, or for `N * T` the number of tensors. An attribute without a list of dtypes takes all of them. A stateful op runs once for each
step that needs it and is never folded into a constant. An op type with a feature runs where this feature of the crate is on.
`missing_kernels` reports the operations of a graph that are not supported, among them those whose dtype or attributes a kernel does
not take.
";

fn type_of(argument: &ArgType) -> String {
    match argument {
        ArgType::Fixed(dtype) => dtype.to_string(),
        ArgType::Attr(name) | ArgType::List(name) => name.clone(),
        ArgType::Repeated(count, of) => format!("{count} * {}", type_of(of)),
    }
}

fn arguments(list: &[ArgDef]) -> String {
    let named = list.iter().map(|argument| {
        let of = type_of(&argument.arg_type);
        let of = if argument.is_ref { format!("Ref({of})") } else { of };
        format!("{}: {of}", argument.name)
    });
    named.collect::<Vec<String>>().join(", ")
}

fn dtypes(attr: &AttrDef) -> Option<String> {
    let names: Vec<String> = attr.allowed_types.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| format!("  - `{}`: {}\n", attr.name, names.join(", ")))
}

/// Returns the entry of an op type: its arguments, the dtypes that it takes, and what the compiler knows of it.
fn entry(def: &OpDef) -> String {
    let signature = def.signature();
    let mut text = format!("- **`{}`** `({})`", def.name(), arguments(&signature.inputs));
    if !signature.outputs.is_empty() {
        write!(text, " -> `{}`", arguments(&signature.outputs)).unwrap();
    }
    let differentiable = matches!(def.gradient_rule(), Gradient::Function(_));
    text.push_str(match (def.is_stateful(), differentiable) {
        (true, true) => ", stateful, differentiable",
        (true, false) => ", stateful",
        (false, true) => ", differentiable",
        (false, false) => "",
    });
    if let Some(feature) = embedded_engine::feature_of(def.name()) {
        write!(text, ", feature `{feature}`").unwrap();
    }
    text.push('\n');
    signature.attrs.iter().filter_map(dtypes).for_each(|line| text.push_str(&line));
    text
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (family, defs) in ops::library().families() {
        write!(page, "\n## {family}\n\n").unwrap();
        let run = defs.into_iter().filter(|def| embedded_engine::supports(def.name()));
        run.for_each(|def| page.push_str(&entry(def)));
    }
    page
}

/// Returns a line for each op type that a feature brings, in alphabetical order: its name and the feature.
fn features() -> String {
    let defs = ops::library().iter();
    let of_features = defs.filter_map(|def| Some((def.name(), embedded_engine::feature_of(def.name())?)));
    let sorted: BTreeMap<&str, &str> = of_features.collect();
    sorted.into_iter().map(|(op_type, feature)| format!("{op_type}\t{feature}\n")).collect()
}

/// Compares a file of this crate, or writes it.
fn check(file: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let different = found.lines().zip(current.lines()).find(|(found, current)| found != current);
    assert!(
        found == current,
        "{}: run this test with {WRITE}=1; first difference: {different:?}",
        path.display()
    );
}

#[test]
fn the_page_of_op_types_is_current() {
    check("docs/ops.md", &page());
}

#[test]
fn the_list_of_op_types_behind_features_is_current() {
    check("src/kernels/features.tsv", &features());
}
