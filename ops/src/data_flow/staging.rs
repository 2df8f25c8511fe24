//! Staging areas: elements that one part of a program leaves for another, without a queue runner.

use super::components::Dtypes;
use crate::library::op_defs;
use crate::shapes::scalar;
use crate::variables::Value;
use session_core::{
    AsOutput, DType, Error, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

/// The attributes of the operations that return values.
const ATTRS: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type) >= 1, container: string = \"\", \
                     shared_name: string = \"\"";
/// The attributes of operations that query or change the area as a whole.
const SIZED: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type), container: string = \"\", \
                     shared_name: string = \"\"";
/// The attributes of operations that put values in.
const PUT: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type), fake_dtypes: list(type) >= 1, \
                   container: string = \"\", shared_name: string = \"\"";

/// The shapes of an area's values, where the caller declares them; nothing else reads them.
const SHAPES: &str = "_shapes";

op_defs! {
    STAGE: OpDef::new("Stage", "values: dtypes ->").attrs(ATTRS).stateful().not_differentiable();
    UNSTAGE: OpDef::new("Unstage", "-> values: dtypes").attrs(ATTRS).stateful().shape(staged).not_differentiable();
    STAGE_PEEK: OpDef::new("StagePeek", "index: int32 -> values: dtypes")
        .attrs(ATTRS).stateful().shape(staged).not_differentiable();
    STAGE_SIZE: OpDef::new("StageSize", "-> size: int32").attrs(SIZED).stateful().shape(scalar).not_differentiable();
    STAGE_CLEAR: OpDef::new("StageClear", "->").attrs(SIZED).stateful().not_differentiable();

    MAP_STAGE: OpDef::new("MapStage", "key: int64, indices: int32, values: fake_dtypes ->")
        .attrs(PUT).stateful().not_differentiable();
    MAP_PEEK: OpDef::new("MapPeek", "key: int64, indices: int32 -> values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    MAP_UNSTAGE: OpDef::new("MapUnstage", "key: int64, indices: int32 -> values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    MAP_UNSTAGE_NO_KEY: OpDef::new("MapUnstageNoKey", "indices: int32 -> key: int64, values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    MAP_SIZE: OpDef::new("MapSize", "-> size: int32").attrs(SIZED).stateful().shape(scalar).not_differentiable();
    MAP_INCOMPLETE_SIZE: OpDef::new("MapIncompleteSize", "-> size: int32")
        .attrs(SIZED).stateful().shape(scalar).not_differentiable();
    MAP_CLEAR: OpDef::new("MapClear", "->").attrs(SIZED).stateful().not_differentiable();
    ORDERED_MAP_STAGE: OpDef::new("OrderedMapStage", "key: int64, indices: int32, values: fake_dtypes ->")
        .attrs(PUT).stateful().not_differentiable();
    ORDERED_MAP_PEEK: OpDef::new("OrderedMapPeek", "key: int64, indices: int32 -> values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    ORDERED_MAP_UNSTAGE: OpDef::new("OrderedMapUnstage", "key: int64, indices: int32 -> values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    ORDERED_MAP_UNSTAGE_NO_KEY: OpDef::new("OrderedMapUnstageNoKey", "indices: int32 -> key: int64, values: dtypes")
        .attrs(ATTRS).stateful().not_differentiable();
    ORDERED_MAP_SIZE: OpDef::new("OrderedMapSize", "-> size: int32").attrs(SIZED).stateful().shape(scalar).not_differentiable();
    ORDERED_MAP_INCOMPLETE_SIZE: OpDef::new("OrderedMapIncompleteSize", "-> size: int32")
        .attrs(SIZED).stateful().shape(scalar).not_differentiable();
    ORDERED_MAP_CLEAR: OpDef::new("OrderedMapClear", "->").attrs(SIZED).stateful().not_differentiable();
}

/// Infers the shapes that the area declares. The operations have no attribute for
/// them, so a private one is set.
fn staged(context: &mut ShapeContext<'_>) -> Result<()> {
    let shapes = context.attr(SHAPES).and_then(|shapes| shapes.as_shapes()).unwrap_or_default();
    let count = context.outputs().min(shapes.len());
    shapes.into_iter().take(count).enumerate().for_each(|(index, shape)| context.set(index, shape));
    Ok(())
}

/// A buffer between two parts of a graph: [`put`](StagingArea::put) stores an element, [`get`](StagingArea::get) takes the oldest one.
/// TensorFlow's `StagingArea`, with which a training program fetches the next batch while it computes the current one.
///
/// It is a queue that cannot be closed. A wait (a get from an empty area, a put into a full one) ends with the run's time limit, its
/// cancellation, or the session, and then has no effect. In TensorFlow a waiting put does not end.
///
/// ```
/// use ops::array::placeholder;
/// use ops::data_flow::StagingArea;
/// use session_core::{DType, Graph, PartialShape};
///
/// let graph = Graph::new();
/// let x = placeholder(&graph, DType::Float32, [8]);
/// let area = StagingArea::new(&graph, DType::Float32).capacity(2).shapes([PartialShape::from([8])]);
/// let put = area.put([&x]);
/// let next = area.get();
/// assert_eq!((put.op_type(), next[0].shape().to_string().as_str()), ("Stage", "[8]"));
/// # graph.finalize().unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct StagingArea {
    graph: Graph,
    dtypes: Vec<DType>,
    shapes: Vec<PartialShape>,
    capacity: i64,
    memory_limit: i64,
    shared_name: String,
}

impl StagingArea {
    /// Creates an area without limits for elements of these dtypes.
    #[must_use]
    pub fn new(graph: &Graph, dtypes: impl Into<Dtypes>) -> StagingArea {
        // Operations of one area find each other by this name alone; there is no handle.
        let shared_name = graph.unique_name("StagingArea");
        // What a step puts or takes must not wait for the place where the area was declared.
        let graph = graph.without_control_dependencies();
        StagingArea {
            graph,
            dtypes: dtypes.into().0,
            shapes: Vec::new(),
            capacity: 0,
            memory_limit: 0,
            shared_name,
        }
    }

    /// Sets the largest number of elements; 0 stands for no limit. Default: 0.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        self
    }

    /// Sets the largest number of bytes; 0 stands for no limit. A put of a larger element is a `ResourceExhausted` error. Default: 0.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = i64::try_from(bytes).unwrap_or(i64::MAX);
        self
    }

    /// Sets the shapes of an element's values as far as they are known. They are static information: nothing checks them at run time.
    #[must_use]
    pub fn shapes<S: Into<PartialShape>>(mut self, shapes: impl IntoIterator<Item = S>) -> Self {
        self.shapes = shapes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the shared name. Areas with the same shared name are the same area. Default: a name that is unique in this graph.
    #[must_use]
    pub fn shared_name(mut self, name: impl Into<String>) -> Self {
        self.shared_name = name.into();
        self
    }

    /// Starts an operation of the area, with the attributes that all of them repeat.
    #[track_caller]
    fn op(&self, graph: &Graph, def: &'static OpDef) -> OpBuilder {
        let builder = graph.op(def).attr("capacity", self.capacity).attr("memory_limit", self.memory_limit);
        builder.attr("shared_name", self.shared_name.as_str())
    }

    /// Finishes an operation that returns an element.
    #[track_caller]
    fn take(&self, builder: OpBuilder) -> Vec<Output> {
        let builder = builder.attr("dtypes", self.dtypes.clone());
        let builder = match self.shapes.is_empty() {
            true => builder,
            false => builder.attr(SHAPES, self.shapes.clone()),
        };
        builder.finish().outputs()
    }

    /// Returns the operation that stores an element. It waits while the area is full.
    #[track_caller]
    pub fn put<V: Into<Value>>(&self, values: impl IntoIterator<Item = V>) -> Operation {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        let builder = self.op(&self.graph, &STAGE);
        if values.len() != self.dtypes.len() {
            let text = format!("{} values for an area of {} components", values.len(), self.dtypes.len());
            return builder.error(Error::value(text)).finish();
        }
        let place = self.graph.located_at(self.graph.location());
        let input = |(value, &dtype): (Value, &DType)| Ok(value.all_for_dtype(dtype)?.to_output(&place));
        match values.into_iter().zip(&self.dtypes).map(input).collect::<Result<Vec<Output>>>() {
            Ok(inputs) => builder.input_list(inputs).finish(),
            Err(error) => builder.error(error).finish(),
        }
    }

    /// Returns the values of the oldest element, which is removed. Waits while the area is empty.
    #[must_use]
    #[track_caller]
    pub fn get(&self) -> Vec<Output> {
        self.take(self.op(&self.graph, &UNSTAGE))
    }

    /// Returns the values of an element, which stays. `index` counts from the oldest element. Waits until there is one.
    #[must_use]
    #[track_caller]
    pub fn peek(&self, index: impl AsOutput) -> Vec<Output> {
        self.take(self.op(&self.graph, &STAGE_PEEK).input(index))
    }

    /// Returns the number of elements, a scalar `int32`.
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> Output {
        self.op(&self.graph, &STAGE_SIZE).attr("dtypes", self.dtypes.clone()).finish_output()
    }

    /// Returns the operation that removes all elements.
    #[track_caller]
    pub fn clear(&self) -> Operation {
        self.op(&self.graph, &STAGE_CLEAR).attr("dtypes", self.dtypes.clone()).finish()
    }
}
