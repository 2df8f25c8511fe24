//! Lookup tables: from numbers or strings to numbers or strings.
//!
//! # Semantics
//!
//! A table is initialized once; initializing it again with other content is an error. Looking up a missing
//! key returns the default. `MutableHashTable` can be changed, exported and imported, and is saved with the
//! model. Lines of a text file become entries by column numbers, where -2 is the whole line and -1 the line
//! number, counted from `offset`. Tables are shared by name within a session.
//!
//! # Operations
//!
//! | op | inputs | result |
//! | --- | --- | --- |
//! | `HashTableV2`, `MutableHashTableV2`, `...OfTensorsV2`, `MutableDenseHashTableV2` | (empty and deleted key) | a handle |
//! | `AnonymousHashTable` and its like | (empty and deleted key) | a handle of a new table in each run |
//! | `InitializeTableV2` | handle, keys, values | fills a fixed table |
//! | `InitializeTableFromTextFileV2` | handle, file name | fills a fixed table from a file |
//! | `LookupTableFindV2` | handle, keys, default | the values; the default for missing keys |
//! | `LookupTableInsertV2`, `LookupTableRemoveV2` | handle, keys, (values) | changes a mutable table |
//! | `LookupTableExportV2`, `LookupTableImportV2` | handle, (keys, values) | reads or replaces the whole content |
//! | `LookupTableSizeV2` | handle | the number of entries, `int64` |
//!
//! Keys are integers, floats or strings, and compared by their bytes: `0.0` and `-0.0` are two keys, and a
//! NaN equals itself if its bits do. Values have any dtype. Names without `V2` are the same operations.
//!
//! The keys of a dense table are scalars or vectors of one length, like its empty key. Keys that are vectors
//! are the rows of a matrix. The default of a lookup is one value, or has one for each key: of these,
//! `MutableHashTable` and its form with tensors take that of the missing key, and the others the first, as in
//! TensorFlow.
//!
//! Exports are sorted by the bytes of the keys, so that checkpoints of equal tables are equal; TensorFlow's
//! order differs.
//!
//! Errors: `FailedPrecondition` for a lookup before the initialization, for other content later, and for one
//! key with two values in an initializer; `InvalidArgument` for dtypes and shapes that do not fit, the
//! reserved keys of a dense table, and empty lines and lines with too few columns; `OutOfRange` for a file
//! without lines; `NotFound` for a missing file.
//!
//! # Examples
//!
//! ```text
//! MutableHashTableV2        {1: 10}
//! LookupTableFindV2         keys [1, 2, 3], default -1         -> [10, -1, -1]
//! LookupTableFindV2         keys [1, 2, 3], default [7, 8, 9]  -> [10, 8, 9]
//! LookupTableInsertV2       keys [2], values [20]              -> {1: 10, 2: 20}
//! LookupTableRemoveV2       keys [1]                           -> {2: 20}
//!
//! MutableDenseHashTableV2   empty key [0, 0], deleted key [-1, -1]
//! LookupTableInsertV2       keys [[1, 2], [3, 4]], values [5, 6]
//! LookupTableFindV2         keys [[3, 4], [9, 9]], default -1  -> [6, -1]
//! ```

use crate::kernel::{Kernel, KernelContext, NodeSpec, gives};
use crate::kernels::array::arrange;
use crate::kernels::elements::stacked;
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::kernels::strings::number::{float, integer};
use crate::registry::Registry;
use rustc_hash::FxHashMap;
use session_core::{Code, Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use tensor::{Bytes, DType, Element, Shape, Tensor, memory};

/// One table.
///
/// The lock guards the entries; many look up at the same time.
struct Table {
    /// The name, the dtypes and the shape of a value.
    kind: Kind,
    /// The entries; `None` before the initialization. Lookups of several steps share the lock.
    ///
    /// A fixed table is `None` before its initialization; a mutable one always has entries.
    entries: RwLock<Option<Entries>>,
    /// The reserved keys of a dense table.
    ///
    /// Known once the operation that creates the table has run; never set for other tables.
    reserved: OnceLock<Reserved>,
}

/// The keys of a dense table that stand for empty places and for removed entries.
#[derive(Clone, PartialEq)]
struct Reserved {
    /// The shape of each key: a scalar, or a vector of at least one element.
    shape: Shape,
    /// The empty and the deleted key.
    keys: [Bytes; 2],
}

/// Values by the bytes of their keys. Each value is a small tensor, often a view of the one that was
/// inserted.
type Entries = FxHashMap<Bytes, Tensor>;

/// Registers the op types. The flag of the makers is true for tables that are filled once.
pub(crate) fn register(registry: &mut Registry) {
    for op_type in ["HashTableV2", "HashTable"] {
        registry.add_handle(op_type, |spec| make_table(spec, true));
    }
    for op_type in [
        "MutableHashTableV2",
        "MutableHashTable",
        "MutableHashTableOfTensorsV2",
        "MutableHashTableOfTensors",
        "MutableDenseHashTableV2",
    ] {
        registry.add_handle(op_type, |spec| make_table(spec, false));
    }
    registry.add("AnonymousHashTable", |spec| make_anonymous(spec, true));
    registry.add_all(
        ["AnonymousMutableHashTable", "AnonymousMutableHashTableOfTensors", "AnonymousMutableDenseHashTable"],
        |spec| make_anonymous(spec, false),
    );
    registry.add_both(["InitializeTableV2", "InitializeTable"], |_| {
        Ok(boxed(|context| {
            let table = table(context)?;
            let entries = table.entries_of(context.input(1), context.input(2), true)?;
            table.initialize(entries)
        }))
    });
    registry
        .add_both(["InitializeTableFromTextFileV2", "InitializeTableFromTextFile"], make_from_file)
        .accesses_files();
    registry.add_both(["LookupTableFindV2", "LookupTableFind"], |_| Ok(boxed(find)));
    registry.add_both(["LookupTableInsertV2", "LookupTableInsert"], |_| {
        Ok(boxed(|context| {
            let table = table(context)?;
            // Later values replace earlier ones, also within one call.
            let entries = table.entries_of(context.input(1), context.input(2), false)?;
            table.check_keys(entries.keys())?;
            table.change(|all| all.extend(entries))
        }))
    });
    registry.add_both(["LookupTableImportV2", "LookupTableImport"], |_| {
        Ok(boxed(|context| {
            let table = table(context)?;
            let mut entries = table.entries_of(context.input(1), context.input(2), table.kind.is_fixed)?;
            // TensorFlow exports dense tables with their empty places.
            let reserved = table.reserved.get().map(|reserved| &reserved.keys);
            reserved.into_iter().flatten().for_each(|key| _ = entries.remove(key));
            if table.kind.is_fixed { table.initialize(entries) } else { table.change(|all| *all = entries) }
        }))
    });
    registry.add("LookupTableRemoveV2", |_| {
        Ok(boxed(|context| {
            let (table, given) = (table(context)?, context.input(1));
            if given.dtype() != table.kind.key {
                let (name, key) = (&table.kind.name, table.kind.key);
                let text = format!("table '{name}' has keys of {key}, not of {}", given.dtype());
                return Err(Error::invalid_argument(text));
            }
            let (_, keys) = table.keys(given)?;
            table.check_keys(&keys)?;
            table.change(|all| keys.iter().for_each(|key| drop(all.remove(key))))
        }))
    });
    registry.add_both(["LookupTableSizeV2", "LookupTableSize"], |_| {
        Ok(boxed(|context| {
            let size = table(context)?.read().as_ref().map_or(0, |entries| entries.len());
            context.set(0, Tensor::from(size as i64));
            Ok(())
        }))
    });
    registry.add_both(["LookupTableExportV2", "LookupTableExport"], |spec| {
        let declared = [spec.dtype("Tkeys")?, spec.dtype("Tvalues")?];
        Ok(boxed(move |context| export(context, declared)))
    });
}

/// The properties of a table that its operation states.
#[derive(Clone)]
struct Kind {
    /// The name, for messages.
    name: String,
    /// The dtype of the keys.
    key: DType,
    /// The dtype of the values.
    value: DType,
    /// The shape of a value; a scalar for most tables.
    shape: Shape,
    /// True if the table is filled once, by an initializer, instead of growing.
    is_fixed: bool,
}

impl Kind {
    /// Reads the attributes of a table's operation.
    ///
    /// # Errors
    /// `Value` for a shape with unknown sizes, and `Unimplemented` for keys that are not integers, floats or
    /// strings.
    fn of(spec: &NodeSpec<'_>, name: String, is_fixed: bool) -> Result<Kind> {
        let (key, value) = (spec.dtype("key_dtype")?, spec.dtype("value_dtype")?);
        let shape = spec.operation.attr("value_shape").and_then(|shape| shape.as_shape());
        let shape = match shape {
            Some(shape) => {
                shape.to_shape().ok_or_else(|| Error::value("attribute 'value_shape' is not fully known"))?
            }
            None => Shape::scalar(),
        };
        if !(key.is_integer() || key == DType::String || key.is_floating()) {
            return Err(Error::new(Code::Unimplemented, format!("a table with keys of {key}")));
        }
        Ok(Kind { name, key, value, shape, is_fixed })
    }

    /// Returns a new table of this kind, empty and, if it is fixed, not initialized.
    fn table(&self) -> Table {
        let entries = RwLock::new((!self.is_fixed).then(Entries::default));
        Table { kind: self.clone(), entries, reserved: OnceLock::new() }
    }
}

/// Makes the kernel that gives the handle of a table of the session. A dense table also has its two reserved
/// keys as inputs, which are only known when the operation runs.
fn make_table(spec: &NodeSpec<'_>, is_fixed: bool) -> Result<Box<dyn Kernel>> {
    let shared = spec.bool("use_node_name_sharing").unwrap_or(false);
    let name = if shared { spec.operation.name() } else { resource_name(spec) };
    let kind = Kind::of(spec, name.to_owned(), is_fixed)?;
    let container = spec.str("container").unwrap_or_default();
    let handle = spec.resources.handle("table", container, &kind.name, || kind.table());
    if spec.operation.num_inputs() < 2 {
        return Ok(gives(handle));
    }
    Ok(boxed(move |context| {
        if let Some(table) = handle.as_handle::<Table>() {
            reserve(context, table)?;
        }
        context.set(0, handle.clone());
        Ok(())
    }))
}

/// Returns a kernel that makes a new table each time, which lives as long as something holds its handle.
fn make_anonymous(spec: &NodeSpec<'_>, is_fixed: bool) -> Result<Box<dyn Kernel>> {
    let kind = Kind::of(spec, spec.operation.name().to_owned(), is_fixed)?;
    Ok(boxed(move |context| {
        let table = kind.table();
        if context.num_inputs() == 2 {
            reserve(context, &table)?;
        }
        context.set(0, Tensor::from_handle(DType::Resource, Arc::new(table)));
        Ok(())
    }))
}

/// Keeps the two inputs as the keys of a dense table that stand for no entry.
///
/// # Errors
/// `InvalidArgument` if the two keys are equal or have different shapes, for a matrix, and for keys that
/// differ from those of the first run.
fn reserve(context: &KernelContext<'_>, table: &Table) -> Result<()> {
    let [empty, deleted] = [0, 1].map(|input| context.input(input));
    let shape = empty.shape();
    if shape.rank() > 1 || shape != deleted.shape() {
        let text = format!(
            "Empty and deleted keys of table '{}' must be scalars or vectors of one shape, not {shape} and {}",
            table.kind.name,
            deleted.shape()
        );
        return Err(Error::invalid_argument(text));
    }
    let key =
        |tensor| Ok::<_, Error>(rows(tensor, tensor.elements())?.into_iter().next().unwrap_or_default());
    let reserved = Reserved { shape: shape.clone(), keys: [key(empty)?, key(deleted)?] };
    // The first run decides. Runs at the same moment agree with it or fail.
    let known = table.reserved.get_or_init(|| reserved.clone());
    // Vectors without elements are equal, too.
    if *known != reserved || reserved.keys[0] == reserved.keys[1] {
        let text =
            format!("Empty and deleted keys of table '{}' must differ and stay the same", table.kind.name);
        return Err(Error::invalid_argument(text));
    }
    Ok(())
}

/// Returns true for the handle of a table whose entries never change once it is initialized.
///
/// Functions of datasets may read such a table ahead of the steps.
pub(super) fn is_fixed(handle: &Tensor) -> bool {
    handle.as_handle::<Table>().is_some_and(|table| table.kind.is_fixed)
}

/// Returns the table of input 0.
fn table<'c>(context: &'c KernelContext<'_>) -> Result<&'c Table> {
    context.handle(0, "a table")
}

/// Returns the bytes of each row of a number of elements, in the order of the machine; for rows of one string,
/// the strings themselves.
///
/// Several strings are written with the length of each, so that `[a, bc]` and `[ab, c]` are two keys.
fn rows(tensor: &Tensor, width: usize) -> Result<Vec<Bytes>> {
    if tensor.dtype() == DType::String {
        let strings = tensor.as_strings()?;
        if width == 1 {
            return Ok(strings.to_vec());
        }
        let row = |row: &[Bytes]| {
            let mut key = Vec::new();
            for text in row {
                key.extend_from_slice(&(text.len() as u64).to_ne_bytes());
                key.extend_from_slice(text);
            }
            Bytes::from(key)
        };
        return Ok(memory::collected(strings.chunks_exact(width.max(1)).map(row))?);
    }
    // Bytes as keys make the table independent of the dtype, and compile once.
    let size = tensor.dtype().size().saturating_mul(width).max(1);
    Ok(memory::collected(tensor.as_bytes()?.chunks_exact(size).map(Bytes::copy_from_slice))?)
}

/// Returns the strings of a key that [`rows`] made of several.
fn strings(mut key: &[u8]) -> Vec<Bytes> {
    let mut found = Vec::new();
    while let Some((length, rest)) = key.split_first_chunk() {
        let length = usize::try_from(u64::from_ne_bytes(*length)).unwrap_or(usize::MAX).min(rest.len());
        found.push(Bytes::copy_from_slice(&rest[..length]));
        key = &rest[length..];
    }
    found
}

impl Table {
    /// Locks the entries for reading.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Entries>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses the keys of a dense table that stand for no entry.
    fn check_keys<'k>(&self, given: impl IntoIterator<Item = &'k Bytes>) -> Result<()> {
        let Some(reserved) = self.reserved.get() else { return Ok(()) };
        for key in given {
            if let Some(at) = reserved.keys.iter().position(|reserved| reserved == key) {
                let name = ["empty_key", "deleted_key"][at];
                let text =
                    format!("Using the {name} as a table key is not allowed: table '{}'", self.kind.name);
                return Err(Error::invalid_argument(text));
            }
        }
        Ok(())
    }

    /// Returns the keys in a tensor, and their number in each dimension.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but a matrix of rows of the right length, if keys are vectors.
    fn keys<'t>(&self, given: &'t Tensor) -> Result<(&'t [usize], Vec<Bytes>)> {
        let shape = self.reserved.get().map(|reserved| reserved.shape.dims()).unwrap_or_default();
        match (shape, given.shape().dims()) {
            ([], all) => Ok((all, rows(given, 1)?)),
            (&[width], all @ &[_, last]) if last == width => Ok((&all[..1], rows(given, width)?)),
            (_, other) => {
                let (other, key) = (Shape::new(other), Shape::new(shape));
                let text = format!("table '{}' has keys of shape {key}, not rows of {other}", self.kind.name);
                Err(Error::invalid_argument(text))
            }
        }
    }

    /// Returns the entries that keys and values make. With `strict`, one key must not have two values.
    ///
    /// Keys that are scalars have any shape; the values have that shape followed by that of a value.
    ///
    /// # Errors
    /// `InvalidArgument` for other dtypes or shapes, and `FailedPrecondition` with `strict` for one key with
    /// two values.
    fn entries_of(&self, given: &Tensor, values: &Tensor, strict: bool) -> Result<Entries> {
        let (outer, keys) = self.keys(given)?;
        let expected: Vec<usize> = outer.iter().chain(self.kind.shape.iter()).copied().collect();
        if given.dtype() != self.kind.key
            || values.dtype() != self.kind.value
            || values.shape()[..] != expected[..]
        {
            let text = format!(
                "table '{}' of {} to {} cannot take keys of {} {} and values of {} {}",
                self.kind.name,
                self.kind.key,
                self.kind.value,
                given.dtype(),
                given.shape(),
                values.dtype(),
                values.shape()
            );
            return Err(Error::invalid_argument(text));
        }
        let rows = std::iter::once(keys.len()).chain(self.kind.shape.iter().copied());
        let values = values.clone().reshaped(rows.collect::<Shape>())?;
        let mut entries = Entries::default();
        for (row, key) in keys.into_iter().enumerate() {
            let value = values.rows(row, row + 1)?.reshaped(self.kind.shape.clone())?;
            let twice = entries.get(&key).is_some_and(|known| strict && *known != value);
            if twice {
                let text =
                    format!("HashTable '{}' has different value for same key at {row}", self.kind.name);
                return Err(Error::new(Code::FailedPrecondition, text));
            }
            entries.insert(key, value);
        }
        Ok(entries)
    }

    /// Sets the entries once. A second time is allowed if they are the same.
    ///
    /// # Errors
    /// `FailedPrecondition` if the table has other entries already.
    fn initialize(&self, entries: Entries) -> Result<()> {
        let mut all = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        // Two initializers of one table may both run; equal content makes that harmless.
        match &*all {
            Some(known) if *known != entries => {
                let text = format!("Table '{}' was already initialized with different data.", self.kind.name);
                Err(Error::new(Code::FailedPrecondition, text))
            }
            _ => {
                *all = Some(entries);
                Ok(())
            }
        }
    }

    /// Changes the entries of a table that steps may change.
    ///
    /// # Errors
    /// `Unimplemented` for a fixed table, as in TensorFlow.
    fn change(&self, change: impl FnOnce(&mut Entries)) -> Result<()> {
        if self.kind.is_fixed {
            let text = format!("table '{}' is filled once, by its initializer", self.kind.name);
            return Err(Error::new(Code::Unimplemented, text));
        }
        let mut all = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        change(all.get_or_insert_default());
        Ok(())
    }
}

/// Returns the values of the keys in input 1, and the default for those that are missing. The result has the
/// shape of the keys followed by that of a value, and so may the default.
fn find(context: &mut KernelContext<'_>) -> Result<()> {
    // The read lock must end before the output is set, because the table is borrowed from the context.
    let found = {
        let (table, wanted, default) = (table(context)?, context.input(1), context.input(2));
        let (outer, keys) = table.keys(wanted)?;
        let shape: Shape = outer.iter().chain(table.kind.shape.iter()).copied().collect();
        if wanted.dtype() != table.kind.key
            || default.dtype() != table.kind.value
            || default.shape() != &table.kind.shape && default.shape() != &shape
        {
            let text = format!(
                "table '{}' of {} to {} {} cannot look up {} {} with the default {} {}",
                table.kind.name,
                table.kind.key,
                table.kind.value,
                table.kind.shape,
                wanted.dtype(),
                wanted.shape(),
                default.dtype(),
                default.shape()
            );
            return Err(Error::invalid_argument(text));
        }
        table.check_keys(&keys)?;
        let entries = table.read();
        let entries = entries.as_ref().ok_or_else(|| {
            Error::new(Code::FailedPrecondition, format!("Table '{}' not initialized.", table.kind.name))
        })?;
        // There are no rows from which `arrange` could take the dtype.
        if keys.is_empty() {
            Tensor::zeros(table.kind.value, shape)?
        } else {
            // TensorFlow's fixed and dense tables read no further than the first value of the default.
            let is_by_key = default.shape() != &table.kind.shape
                && !table.kind.is_fixed
                && table.reserved.get().is_none();
            let values = memory::collected(keys.iter().map(|key| entries.get(key).unwrap_or(default)))?;
            let place = |row: usize| {
                Some((row, if is_by_key && std::ptr::eq(values[row], default) { row } else { 0 }))
            };
            arrange(context, &values, shape, table.kind.shape.elements(), &place, None)?
        }
    };
    context.set(0, found);
    Ok(())
}

/// Returns all keys and values, sorted by the bytes of the keys. A dense table exports its entries only,
/// without reserved keys. The dtypes are those that the operation declares.
fn export(context: &mut KernelContext<'_>, declared: [DType; 2]) -> Result<()> {
    let (keys, values) = {
        let table = table(context)?;
        let kind = &table.kind;
        if declared != [kind.key, kind.value] {
            let text = format!(
                "table '{}' of {} to {} is exported as {} to {}",
                kind.name, kind.key, kind.value, declared[0], declared[1]
            );
            return Err(Error::invalid_argument(text));
        }
        let entries = table.read();
        let mut sorted: Vec<(&Bytes, &Tensor)> = entries.iter().flatten().collect();
        sorted.sort_by_key(|(key, _)| *key);
        let of_key = table.reserved.get().map(|reserved| reserved.shape.clone()).unwrap_or_default();
        let shape: Shape = std::iter::once(sorted.len()).chain(of_key.iter().copied()).collect();
        let keys = if kind.key == DType::String {
            let keys = sorted.iter().map(|(key, _)| *key);
            let keys: Vec<Bytes> = match of_key.elements() {
                1 => keys.cloned().collect(),
                _ => keys.flat_map(|key| strings(key)).collect(),
            };
            Tensor::from_strings(keys, shape)?
        } else {
            let bytes: Vec<u8> = sorted.iter().flat_map(|(key, _)| key.iter().copied()).collect();
            Tensor::from_bytes(kind.key, shape, bytes)?
        };
        let values: Vec<Option<Tensor>> = sorted.iter().map(|(_, value)| Some((*value).clone())).collect();
        (keys, stacked(context, kind.value, &values, &kind.shape)?)
    };
    context.set(0, keys);
    context.set(1, values);
    Ok(())
}

/// The part of a line that becomes a key or value.
#[derive(Clone, Copy)]
enum Column {
    /// The whole line.
    Line,
    /// The number of the line, counted from the attribute `offset`.
    Number,
    /// A field of the line.
    Field(usize),
}

/// Reads an attribute that selects a column: -2 is the whole line, -1 the line number, and others count
/// fields from 0.
fn column(spec: &NodeSpec<'_>, name: &str) -> Result<Column> {
    match spec.int(name)? {
        -2 => Ok(Column::Line),
        -1 => Ok(Column::Number),
        field => {
            let field = usize::try_from(field);
            Ok(Column::Field(
                field.map_err(|_| Error::value(format!("attribute '{name}' must be at least -2")))?,
            ))
        }
    }
}

/// The form of a file that fills a table.
struct Format {
    /// The columns of the keys and of the values.
    columns: [Column; 2],
    /// The number of lines that become entries; `None` for all of them.
    size: Option<usize>,
    /// The byte between two fields.
    delimiter: u8,
    /// The number of the first line, for columns of line numbers.
    first: i64,
}

/// Makes the kernel that fills a table from a file of lines, which end with a newline or with a carriage
/// return and a newline.
///
/// `vocab_size` of -1 takes all lines; otherwise it takes that many, and the file must have them. `offset` is
/// the number of the first line and skips nothing. The file is read when the operation runs, with the
/// permission of the session's file policy.
///
/// # Errors
/// `InvalidArgument` for a delimiter other than one byte.
fn make_from_file(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let delimiter = spec.str("delimiter").unwrap_or("\t");
    let &[delimiter] = delimiter.as_bytes() else {
        return Err(Error::invalid_argument(format!("delimiter must be one byte, not '{delimiter}'")));
    };
    let format = Format {
        columns: [column(spec, "key_index")?, column(spec, "value_index")?],
        size: usize::try_from(spec.int("vocab_size")?).ok(),
        delimiter,
        first: spec.int("offset").unwrap_or(0),
    };
    Ok(boxed(move |context| {
        let table = table(context)?;
        let name = context.input(1).as_strings()?.first().cloned().unwrap_or_default();
        let path = PathBuf::from(String::from_utf8_lossy(&name).into_owned());
        context.files().check_read(&path)?;
        let text = std::fs::read(&path).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let code = if missing { Code::NotFound } else { Code::Unknown };
            Error::new(code, format!("table '{}' cannot read {}", table.kind.name, path.display()))
                .with_source(error)
        })?;
        let filled = format.entries(table, &Bytes::from(text)).and_then(|entries| table.initialize(entries));
        filled.map_err(|error| {
            error.context(format!("table '{}' cannot be filled from {}", table.kind.name, path.display()))
        })
    }))
}

impl Format {
    /// Returns the entries of a table that the content of a file makes.
    ///
    /// # Errors
    /// `OutOfRange` for no lines, and `InvalidArgument` for fewer lines than requested, an empty line, a line
    /// with too few columns, and a column that does not fit the dtype of the table.
    fn entries(&self, table: &Table, text: &Bytes) -> Result<Entries> {
        let dtypes = [table.kind.key, table.kind.value];
        for (what, (column, dtype)) in ["key", "value"].iter().zip(self.columns.iter().zip(dtypes)) {
            let (fits, column) = match column {
                Column::Line => (dtype == DType::String || dtype.is_integer(), "the whole line"),
                Column::Number => (dtype == DType::Int64, "the line number"),
                Column::Field(_) => (true, "a field"),
            };
            if !fits {
                return Err(Error::invalid_argument(format!("{column} cannot be a {what} of {dtype}")));
            }
        }
        let lines: Vec<&[u8]> = lines(text).take(self.size.unwrap_or(usize::MAX)).collect();
        if lines.is_empty() && self.size.is_none_or(|size| size == 0) {
            return Err(Error::new(Code::OutOfRange, "there are no lines"));
        }
        if let Some(size) = self.size.filter(|&size| size != lines.len()) {
            let text = format!("Invalid vocab_size: expected {size} but got {}", lines.len());
            return Err(Error::invalid_argument(text));
        }
        if let Some(number) = lines.iter().position(|line| line.is_empty()) {
            return Err(Error::invalid_argument(format!("line {} is empty", number + 1)));
        }
        let keys = self.column(text, &lines, self.columns[0], dtypes[0])?;
        let values = self.column(text, &lines, self.columns[1], dtypes[1])?;
        table.entries_of(&keys, &values, true)
    }

    /// Returns one column of all lines as a tensor. Strings share the memory of the file's content.
    ///
    /// # Errors
    /// `InvalidArgument` for a line with too few columns, a field that is not a number of the dtype, and a
    /// dtype other than strings, `int32`, `int64`, `float32` and `float64`.
    fn column(&self, text: &Bytes, lines: &[&[u8]], column: Column, dtype: DType) -> Result<Tensor> {
        let field = |number: usize| match column {
            Column::Field(field) => {
                let mut fields = lines[number].split(|&byte| byte == self.delimiter);
                fields.nth(field).ok_or_else(|| {
                    let text = format!("line {} has too few columns: {} are needed", number + 1, field + 1);
                    Error::invalid_argument(text)
                })
            }
            Column::Line | Column::Number => Ok(lines[number]),
        };
        /// Returns the numbers of all fields.
        fn numbers<'f, T: Element>(
            count: usize,
            field: impl Fn(usize) -> Result<&'f [u8]>,
            read: fn(&[u8]) -> Option<T>,
        ) -> Result<Tensor> {
            let number = |line: usize| {
                let field = field(line)?;
                read(field).ok_or_else(|| {
                    let field = String::from_utf8_lossy(field);
                    let text = format!("field '{field}' in line {} is not a valid {}", line + 1, T::DTYPE);
                    Error::invalid_argument(text)
                })
            };
            Ok(Tensor::from(memory::try_collected::<_, Error>((0..count).map(number))?))
        }
        let count = lines.len();
        match (column, dtype) {
            (Column::Number, _) => {
                let numbers = (0..count).map(|number| self.first.wrapping_add(number as i64));
                Ok(Tensor::from(memory::collected(numbers)?))
            }
            (_, DType::String) => {
                let strings = (0..count).map(|number| Ok::<_, Error>(text.slice_ref(field(number)?)));
                let strings: Vec<Bytes> = memory::try_collected(strings)?;
                Ok(Tensor::from_strings(strings, [count])?)
            }
            (_, DType::Int32) => numbers::<i32>(count, field, integer),
            (_, DType::Int64) => numbers::<i64>(count, field, integer),
            (_, DType::Float32) => numbers::<f32>(count, field, float),
            (_, DType::Float64) => numbers::<f64>(count, field, float),
            _ => Err(Error::invalid_argument(format!("a field of a line cannot be a {dtype}"))),
        }
    }
}

/// Returns the lines of a text, without the newlines and a carriage return before each. Text after the last
/// newline is a line, too.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").map_or((text, !text.is_empty()), |text| (text, true));
    let lines = text.1.then(|| text.0.split(|&byte| byte == b'\n'));
    lines.into_iter().flatten().map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}
