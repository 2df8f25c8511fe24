//! TensorFlow's copy of a graph, which follows the original as it grows (S-56).
//!
//! New operations are exported as a `GraphDef` and imported into the copy, with their inputs mapped to earlier nodes. Names are kept, so errors
//! and device placements of TensorFlow refer to the original operations.
//!
//! An import takes everything that a `GraphDef` can express, functions and all kinds of attributes among them, in one call.

use crate::ReplicaDeviceSetter;
use crate::ffi::{ImportOptions, Native, NativeGraph, NativeOperation, NativeOutput};
use crate::host::{Closures, Shared, check_closures};
use crate::placement::Placement;
use graph_def::proto::{FunctionDef, FunctionDefLibrary};
use graph_def::{ExportOptions, to_graph_def_with};
use session_core::{Code, Endpoint, Error, Graph, OpId, Operation, Result};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

/// A graph and TensorFlow's copy of it.
pub(crate) struct Mirror {
    /// TensorFlow's graph. A session holds it, too, because it must outlive the session.
    native: Arc<NativeGraph>,
    /// The copies of the operations, by their ids.
    copies: RwLock<Vec<NativeOperation>>,
    /// Held while both graphs are compared and missing operations are added.
    growing: Mutex<Growth>,
    /// True for a session on a server, which cannot call closures of this program.
    remote: bool,
    /// The state that the session shares with closures of the graph.
    shared: Arc<Shared>,
}

/// The parts that were copied.
struct Growth {
    /// The names of the functions.
    functions: BTreeSet<String>,
    /// The devices of operations that have none; `None` to leave them to TensorFlow.
    placement: Option<Placement>,
    /// The closures of operations that were copied.
    closures: Closures,
}

impl Mirror {
    /// Creates an empty copy.
    pub(crate) fn new(api: Native, device_setter: Option<ReplicaDeviceSetter>, remote: bool) -> Mirror {
        let shared = Arc::new(Shared::default());
        let growth = Growth {
            functions: BTreeSet::new(),
            placement: device_setter.map(Placement::new),
            closures: Closures::new(api, shared.clone()),
        };
        Mirror {
            native: Arc::new(NativeGraph::new(api)),
            copies: RwLock::default(),
            growing: Mutex::new(growth),
            remote,
            shared,
        }
    }

    /// Returns TensorFlow's graph.
    pub(crate) fn native(&self) -> &Arc<NativeGraph> {
        &self.native
    }

    /// Returns the state that the session shares with the closures that its graph calls.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the copies, including those of all current operations.
    pub(crate) fn copies(&self, graph: &Graph) -> Result<Copies<'_>> {
        let copies = Copies(self.copies.read().unwrap_or_else(PoisonError::into_inner));
        if copies.0.len() == graph.len() {
            return Ok(copies);
        }
        drop(copies);
        self.grow(graph)?;
        Ok(Copies(self.copies.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Imports the operations that the copy lacks. The lock on `copies` is taken only to read and to extend the list, so that runs of other
    /// threads are not delayed by an import.
    ///
    /// The order matters: closures get their tokens before the import, because TensorFlow creates kernels
    /// from the imported attributes; devices are chosen before it, because a node cannot be moved later; and
    /// the list of copies is extended last, so that a failed import is tried again as a whole.
    ///
    /// # Errors
    /// The first build error of the graph; those of [`check_closures`] and of TensorFlow's import, with the
    /// operation that it names.
    fn grow(&self, graph: &Graph) -> Result<()> {
        let mut growth = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.copies.read().unwrap_or_else(PoisonError::into_inner).clone();
        let first = known.len() as OpId;
        let mut message = to_graph_def_with(graph, &ExportOptions::new().from_operation(first))?;
        // Operations created since the export follow the next time.
        let mut added = graph.operations_from(first);
        added.truncate(message.node.len());
        if added.is_empty() {
            return Ok(()); // another thread was first
        }
        check_closures(graph, self.remote)?;
        let mut options = ImportOptions::new(self.native.api());
        bind(&mut options, &added, &known)?;
        let names = retain_new(message.library.as_mut(), &growth.functions);
        growth.closures.bind(&added, &mut message.node)?;
        if let Some(library) = &mut message.library {
            growth.closures.bind_functions(graph, library)?;
        }
        if let Some(placement) = &mut growth.placement {
            for (operation, node) in added.iter().zip(&mut message.node) {
                node.device = placement.device(operation);
            }
        }
        let mut bytes = message.to_bytes().to_vec();
        bytes.extend(versions(&self.native.versions()?));
        self.native.import(&bytes, &options).map_err(|error| locate(graph, error))?;
        let made = added.iter().map(|operation| self.find(operation)).collect::<Result<Vec<_>>>()?;
        if added.iter().flat_map(Operation::output_infos).any(|info| info.is_ref) {
            self.shared.found_references();
        }
        self.copies.write().unwrap_or_else(PoisonError::into_inner).extend(made);
        growth.functions.extend(names);
        Ok(())
    }

    /// Returns TensorFlow's operation of the same name after an import.
    fn find(&self, operation: &Operation) -> Result<NativeOperation> {
        self.native.operation(operation.name())?.ok_or_else(|| {
            let text = format!("TensorFlow did not import the operation '{}'", operation.name());
            operation.place(Error::new(Code::Internal, text))
        })
    }
}

/// TensorFlow's copies of a graph's operations.
/// While it exists, no thread can extend the list, so it is dropped before a run.
pub(crate) struct Copies<'m>(RwLockReadGuard<'m, Vec<NativeOperation>>);

impl Copies<'_> {
    /// Returns the copy of an operation.
    pub(crate) fn operation(&self, id: OpId) -> Result<NativeOperation> {
        let copy = self.0.get(id as usize).copied();
        copy.ok_or_else(|| Error::key(format!("the graph has no operation number {id}")))
    }

    /// Returns the copy of an output.
    pub(crate) fn output(&self, endpoint: Endpoint) -> Result<NativeOutput> {
        Ok(self.operation(endpoint.op)?.output(endpoint.index))
    }
}

/// Connects the inputs of new nodes to nodes that were imported before.
/// Each input from outside of the message is mapped once, however many new nodes use it.
fn bind(options: &mut ImportOptions, added: &[Operation], known: &[NativeOperation]) -> Result<()> {
    if known.is_empty() {
        return Ok(());
    }
    let old = |id: OpId| known.get(id as usize).copied();
    let (mut inputs, mut controls) = (BTreeSet::new(), BTreeSet::new());
    for operation in added {
        inputs.extend(operation.input_endpoints().iter().copied());
        controls.extend(operation.control_input_ids().iter().copied());
    }
    let graph = added[0].graph();
    let name = |id: OpId| graph.operation_by_id(id).map(|operation| operation.name().to_owned());
    for endpoint in inputs {
        if let (Some(copy), Some(name)) = (old(endpoint.op), name(endpoint.op)) {
            options.map_input(&name, copy.output(endpoint.index))?;
        }
    }
    for id in controls {
        if let (Some(copy), Some(name)) = (old(id), name(id)) {
            options.map_control_input(&name, copy)?;
        }
    }
    Ok(())
}

/// Removes all but new functions from a library, and returns their names.
/// An export always has the whole library, and TensorFlow accepts a second function of a name only if it is
/// identical.
fn retain_new(library: Option<&mut FunctionDefLibrary>, known: &BTreeSet<String>) -> Vec<String> {
    let Some(library) = library else { return Vec::new() };
    let name = |function: &FunctionDef| function.signature.as_ref().map_or("", |op| &op.name).to_owned();
    library.function.retain(|function| !known.contains(&name(function)));
    library.gradient.retain(|gradient| !known.contains(&gradient.function_name));
    library.function.iter().map(name).collect()
}

/// Returns a serialized `GraphDef` that has only these versions, to append to another one: nodes count as created by the very
/// release that runs them.
fn versions(version_def: &[u8]) -> Vec<u8> {
    const VERSIONS: u32 = 4;
    let mut bytes = Vec::new();
    prost::encoding::bytes::encode(VERSIONS, &version_def.to_vec(), &mut bytes);
    bytes
}

/// Returns the operation that an error of TensorFlow names as `{{node NAME}}` or `Node 'NAME'`.
pub(crate) fn locate(graph: &Graph, error: Error) -> Error {
    let named = |open: &str, close: &str| {
        let rest = error.message().split_once(open)?.1;
        Some(rest.split_once(close)?.0.to_owned())
    };
    let name = named("{{node ", "}}").or_else(|| named("Node '", "'")).or_else(|| named("node '", "'"));
    match name.and_then(|name| graph.operation(&name).ok()) {
        Some(operation) => operation.place(error),
        None => error,
    }
}
