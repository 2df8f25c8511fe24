//! Areas in which values are left for another part of the program, without queue runner.

use super::components::Dtypes;
use crate::library::op_defs;
use crate::shapes::scalar;
use crate::variables::Value;
use session_core::{
    AsOutput, DType, Error, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext,
};

/// Of what gives values.
const ATTRS: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type) >= 1, container: string = \"\", \
                     shared_name: string = \"\"";
/// Of what tells or changes the area as a whole.
const SIZED: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type), container: string = \"\", \
                     shared_name: string = \"\"";
/// Of what puts values in.
const PUT: &str = "capacity: int >= 0 = 0, memory_limit: int >= 0 = 0, dtypes: list(type), fake_dtypes: list(type) >= 1, \
                   container: string = \"\", shared_name: string = \"\"";

/// The shapes of an area's values, where who takes them knows; nobody else looks at it.
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

fn staged(context: &mut ShapeContext<'_>) -> Result<()> {
    let shapes = context.attr(SHAPES).and_then(|shapes| shapes.as_shapes()).unwrap_or_default();
    let count = context.outputs().min(shapes.len());
    shapes.into_iter().take(count).enumerate().for_each(|(index, shape)| context.set(index, shape));
    Ok(())
}

/// A place where values of one step, or of one part of it, wait for another: [`put`](StagingArea::put) leaves them,
/// [`get`](StagingArea::get) takes them in their order. TensorFlow's `StagingArea`, with which training programs fetch the
/// next batch while the last one is computed.
///
/// It is a queue without closing. What waits in it (a get while it is empty, a put while it is full) ends with the run's
/// time limit, its cancellation or the session; a wait that is ended has no effect. In TensorFlow a put that waits does not end.
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
        let shared_name = graph.unique_name("StagingArea");
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

    /// Sets the number of elements that fit in; 0 stands for any number.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = i64::try_from(capacity).unwrap_or(i64::MAX);
        self
    }

    /// Sets the number of bytes that fit in; 0 stands for any number. A larger element is `ResourceExhausted`
    /// when it is put.
    #[must_use]
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = i64::try_from(bytes).unwrap_or(i64::MAX);
        self
    }

    /// Sets the shapes of an element's values, as far as they are known; nothing checks them when the graph runs.
    #[must_use]
    pub fn shapes<S: Into<PartialShape>>(mut self, shapes: impl IntoIterator<Item = S>) -> Self {
        self.shapes = shapes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the shared name. Areas with the same shared name are the same area. The default is a name unique
    /// to this graph.
    #[must_use]
    pub fn shared_name(mut self, name: impl Into<String>) -> Self {
        self.shared_name = name.into();
        self
    }

    #[track_caller]
    fn op(&self, graph: &Graph, def: &'static OpDef) -> OpBuilder {
        let builder = graph.op(def).attr("capacity", self.capacity).attr("memory_limit", self.memory_limit);
        builder.attr("shared_name", self.shared_name.as_str())
    }

    #[track_caller]
    fn take(&self, builder: OpBuilder) -> Vec<Output> {
        let builder = builder.attr("dtypes", self.dtypes.clone());
        let builder = match self.shapes.is_empty() {
            true => builder,
            false => builder.attr(SHAPES, self.shapes.clone()),
        };
        builder.finish().outputs()
    }

    /// Puts an element into the area. Waits while there is no room.
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

    /// Takes the element that was left first; waits while there is none.
    #[must_use]
    #[track_caller]
    pub fn get(&self) -> Vec<Output> {
        self.take(self.op(&self.graph, &UNSTAGE))
    }

    /// Returns the element of an index, counted from the one that was left first, which stays; waits until there is one.
    #[must_use]
    #[track_caller]
    pub fn peek(&self, index: impl AsOutput) -> Vec<Output> {
        self.take(self.op(&self.graph, &STAGE_PEEK).input(index))
    }

    /// Returns the number of elements, an `int32`.
    #[must_use]
    #[track_caller]
    pub fn size(&self) -> Output {
        self.op(&self.graph, &STAGE_SIZE).attr("dtypes", self.dtypes.clone()).finish_output()
    }

    /// Drops all elements.
    #[track_caller]
    pub fn clear(&self) -> Operation {
        self.op(&self.graph, &STAGE_CLEAR).attr("dtypes", self.dtypes.clone()).finish()
    }
}
